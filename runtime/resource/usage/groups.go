package usage

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"blast.example/blast/state"
)

// Groups are the folders of an environment's cgroup, by what the kernel counts in them.
// "" is what a host doesn't have.
type Groups struct {
	CPU      string `json:"cpu,omitempty"`      // of the cpu controller
	Account  string `json:"account,omitempty"`  // where CPU time is counted: v2, or cpuacct
	Memory   string `json:"memory,omitempty"`   //
	IO       string `json:"io,omitempty"`       // of the io or blkio controller
	PIDs     string `json:"pids,omitempty"`     //
	Pressure string `json:"pressure,omitempty"` // v2, also beside v1
}

const groupsNote = "resource-groups"

// Find returns the groups of an environment; nothing if it has none.
func Find(env state.Env) (g Groups, err error) {
	_, err = env.ReadNote(groupsNote, &g)
	return g, err
}

// Keep notes the groups for Find, unless they are noted already.
func (g Groups) Keep(env state.Env) error {
	if was, err := Find(env); err == nil && was == g {
		return nil
	}
	return env.WriteNote(groupsNote, g)
}

// Forget undoes Keep.
func Forget(env state.Env) error { return env.DropNote(groupsNote) }

// maxFile is more than any of the files read here has, in bytes.
const maxFile = 64 << 10

// read returns the text of a file; "" if there is none. It goes past os.File, which asks
// the kernel to tell when there is more to read, as it could of a cgroup's files.
func read(dir, name string) string {
	if dir == "" {
		return ""
	}
	fd, err := syscall.Open(filepath.Join(dir, name), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = syscall.Close(fd) }()
	var text []byte
	b := make([]byte, 4096)
	for len(text) < maxFile {
		n, err := syscall.Read(fd, b) // a seq_file gives a page at most
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		text = append(text, b[:n]...)
	}
	return string(text)
}

// number reads a file that has one; "max" and what isn't there are 0.
func number(dir, name string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSpace(read(dir, name)), 10, 64)
	return n
}

// first is number of the first of these files that has one above 0.
func first(dir string, names ...string) uint64 {
	for _, name := range names {
		if n := number(dir, name); n > 0 {
			return n
		}
	}
	return 0
}

// field is the number after a name in lines of "name number"; 0 if there is none.
func field(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}
