// Package task says what a process is, as far as proc(5) tells.
package task

import (
	"io"
	"os"
	"path/filepath"
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

// A Folder is that of a process in /proc. It stays that of this process: when it is gone
// nothing can be read there, also if another one, of the host's perhaps, has its number. So
// it is asked by its folder whose it is, and then what it is.
type Folder struct {
	root *os.Root
	pid  int
}

// Open opens the folder of who has the number now. Close it.
func Open(pid int) (*Folder, error) {
	root, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		return nil, err
	}
	return &Folder{root, pid}, nil
}

// Close gives the folder back.
func (f *Folder) Close() { _ = f.root.Close() }

// Namespace is one of the process's namespaces(7), as its link below ns reads: "net", "pid".
func (f *Folder) Namespace(name string) (string, error) { return f.root.Readlink("ns/" + name) }

// maxRead is how much of a file of /proc is read, in bytes: a sandbox chooses some of it.
const maxRead = 16 << 10

// Read returns the beginning of a file of the folder. One that is empty or can't be read,
// as when the process has ended, is false.
func (f *Folder) Read(name string) (text string, ok bool) {
	file, err := f.root.Open(name)
	if err != nil {
		return "", false
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxRead))
	return string(b), err == nil && len(b) > 0
}

// Process reads what the process is, or false if it has ended.
func (f *Folder) Process() (Process, bool) {
	status, ok := f.Read("status")
	if !ok {
		return Process{}, false
	}
	p := Process{HostPID: f.pid, PID: f.pid}
	p.take(status)
	words, _ := f.Read("cmdline") // what can't be read is not known
	args := strings.Split(strings.TrimRight(words, "\x00"), "\x00")
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasSuffix(a, ".py") }); i >= 0 {
		p.Script = args[i]
	}
	return p, true
}

// take reads proc_pid_status(5).
func (p *Process) take(status string) {
	for line := range strings.Lines(status) {
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
}
