//go:build linux

package mountns

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// A Row is one mount, as /proc/PID/mountinfo shows it (proc_pid_mountinfo(5)).
type Row struct {
	ID      uint64 `json:"id"`      // unique for as long as the mount exists
	Parent  uint64 `json:"parent"`  // ID of the mount that it is mounted on
	Device  string `json:"device"`  // major:minor
	Root    string `json:"root"`    // folder of the file system that is the mount's root
	Point   string `json:"point"`   // where it is mounted, in the sandbox
	Options string `json:"options"` // of the mount: ro, nosuid, idmapped, …
	Type    string `json:"type"`    // of the file system
	Source  string `json:"source"`  // what the file system is of: /dev/loop0
	Super   string `json:"super"`   // options of the file system: size=…
}

// Has reports whether an option of the mount is set.
func (r Row) Has(option string) bool {
	for o := range strings.SplitSeq(r.Options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// maxTable bounds what is read of a mount table, in bytes. The kernel allows
// 100 000 mounts in a namespace (fs.mount-max).
const maxTable = 64 << 20

func readTable(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	rows, err := parseTable(io.LimitReader(f, maxTable))
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return rows, nil
}

func parseTable(r io.Reader) ([]Row, error) {
	var rows []Row
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		row, err := parseRow(sc.Text())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, sc.Err()
}

// parseRow reads a line:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//	ID parent dev root point options [optional…] - type source super
func parseRow(line string) (Row, error) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Split(left, " "), strings.Split(right, " ")
	if !ok || len(l) < 6 || len(r) < 3 {
		return Row{}, fmt.Errorf("malformed line %q", line)
	}
	id, err := strconv.ParseUint(l[0], 10, 64)
	if err != nil {
		return Row{}, fmt.Errorf("malformed line %q", line)
	}
	parent, err := strconv.ParseUint(l[1], 10, 64)
	if err != nil {
		return Row{}, fmt.Errorf("malformed line %q", line)
	}
	return Row{
		ID: id, Parent: parent, Device: l[2], Root: unescape(l[3]), Point: unescape(l[4]),
		Options: l[5], Type: r[0], Source: unescape(r[1]), Super: r[len(r)-1],
	}, nil
}

// unescape undoes the kernel's octal escapes of space, tab, newline, backslash
// and number sign.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// OwnTable lists the mounts that this process sees.
func OwnTable() ([]Row, error) { return readTable("/proc/self/mountinfo") }
