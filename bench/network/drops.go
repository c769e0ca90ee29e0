package main

import (
	"fmt"
	"strconv"
	"strings"
)

// drops are what the kernel did not let through in the sandbox's network namespace.
type drops struct {
	queue   int64 // SYNs for which a listener had no place: ListenDrops of /proc/net/netstat
	tracker int64 // packets that connection tracking dropped: /proc/net/stat/nf_conntrack
	tracked int64 // connections that it knows now
}

func (w *world) drops() (d drops, err error) {
	out, err := w.command("-e", "load", "run", "--", "cat", "/proc/net/netstat").Output()
	if err != nil {
		return d, fmt.Errorf("read what the kernel dropped: %w", err)
	}
	d.queue = column(string(out), "TcpExt:", "ListenDrops", 10)
	if out, err = w.command("-e", "load", "run", "--", "cat", "/proc/net/stat/nf_conntrack").Output(); err != nil {
		return d, fmt.Errorf("read what the kernel dropped: %w", err)
	}
	d.tracker = column(string(out), "entries", "drop", 16) + column(string(out), "entries", "insert_failed", 16)
	// Each processor has a line, and each says how many there are in all.
	lines := int64(strings.Count(strings.TrimSpace(string(out)), "\n"))
	d.tracked = column(string(out), "entries", "entries", 16) / max(lines, 1)
	return d, nil
}

// column adds up what stands below a word of a line that begins with head.
func column(text, head, word string, base int) (sum int64) {
	at := -1
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == head && strings.Trim(f[1], "0123456789abcdef") != "" {
			for i, w := range f {
				if w == word {
					at = i
				}
			}
			continue
		}
		if at < 0 || at >= len(f) || head == "TcpExt:" && f[0] != head {
			continue
		}
		n, err := strconv.ParseInt(f[at], base, 64)
		if err == nil {
			sum += n
		}
	}
	return sum
}
