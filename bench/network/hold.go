package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"blast.example/blast/bench/network/load"
)

// most is how many connections are held, if the machine lets blastd have them.
const most = 10_000

// asksIdle is how often each command is timed while connections are open.
const asksIdle = 10

// hold measures what open connections cost, and the daemon's answers meanwhile.
func hold(w *world) error {
	n := mostOpen()
	fmt.Printf("\nConnections at once: %d of %d, as RLIMIT_NOFILE allows; a byte there and back at the start and at the end.\n\n", n, most)
	s := &sheet{}
	for _, p := range w.loaded() {
		s.ways = append(s.ways, p.name)
		if err := w.withDaemon(func(pid int) error { return w.held(s, pid, p, n) }); err != nil {
			return err
		}
	}
	s.print()
	return nil
}

// held opens as many connections as there may be, looks at the daemon, and has each say
// something once more.
func (w *world) held(s *sheet, pid int, p *path, n int) error {
	before := footprintOf(pid)
	cmd := p.start("-at", strings.Join(p.at, ","), "-n", strconv.Itoa(n), "hold")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }()
	results := json.NewDecoder(out)
	var made, alive load.Result
	if err := results.Decode(&made); err != nil {
		return err
	}
	with := footprintOf(pid)
	got := map[string]delays{}
	for range asksIdle {
		if err := w.ask(got); err != nil {
			return err
		}
	}
	sum, _, err := w.counted(ruleOf(p))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(in, "\n"); err != nil {
		return err
	}
	if err := results.Decode(&alive); err != nil {
		return err
	}
	each := float64(max(made.Count, 1))
	s.put("open at once", strconv.Itoa(made.Count))
	s.put("of these blastd counts", strconv.FormatUint(sum.Open, 10))
	s.put("lost when opened", failuresOf(made))
	s.put("lost at the end", failuresOf(alive))
	s.put("memory of blastd for each (RSS)", fmt.Sprintf("%.1f KiB", float64(with.rss-before.rss)/1024/each))
	s.put("memory of blastd before, with them", fmt.Sprintf("%.0f, %.0f MiB", mib(before.rss), mib(with.rss)))
	s.put("memory of the kernel's sockets, TCP, all ends", fmt.Sprintf("%.1f KiB for each", float64(with.kernel-before.kernel)/1024/each))
	s.put("descriptors of blastd for each", fmt.Sprintf("%.2f", float64(with.files-before.files)/each))
	s.put("threads of blastd", fmt.Sprintf("%d, %d with them", before.threads, with.threads))
	s.answers(got)
	return nil
}
