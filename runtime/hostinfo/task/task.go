// Package task says what a process is, as far as proc(5) tells.
package task

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Process is what is known about a process. The sandbox chose Command and
// Script.
type Process struct {
	PID, HostPID int     // as its own pid namespace counts, and as this one
	UID          *uint32 // on the host
	Command      string
	Script       string // the first argument that names a Python file
}

// Of reads what a process is. One that is gone is zero.
func Of(pid int) Process {
	dir := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Process{}
	}
	p := Process{HostPID: pid, PID: pid}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch key {
		case "Name":
			p.Command = strings.TrimSpace(value)
		case "NSpid":
			p.PID, _ = strconv.Atoi(words[len(words)-1])
		case "Uid":
			if n, err := strconv.ParseUint(words[0], 10, 32); err == nil {
				uid := uint32(n)
				p.UID = &uid
			}
		}
	}
	words := args(dir)
	if i := slices.IndexFunc(words, func(a string) bool { return strings.HasSuffix(a, ".py") }); i >= 0 {
		p.Script = words[i]
	}
	return p
}

func args(dir string) []string {
	f, err := os.Open(dir + "/cmdline")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 4096)
	n, _ := f.Read(buf) // what can't be read is not known
	text := strings.TrimRight(string(buf[:n]), "\x00")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}
