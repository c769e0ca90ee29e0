package who

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/runtime/network/gate/netns"
)

// Describe is what is known about a process of the sandbox. Of one that is gone it is
// only its number, whoever has that by now.
func (f *Finder) Describe(pid int) Process {
	p, _ := f.described(pid) // zero with an error
	p.HostPID = pid
	return p
}

// described reads proc(5), or says ErrGone. The folder of a process stays that of this
// process: when it is gone nothing can be read there, also if another one, of the host's
// perhaps, has its number. So it is asked by its folder whether it is the sandbox's.
func (f *Finder) described(pid int) (Process, error) {
	proc, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		return Process{}, ErrGone
	}
	defer func() { _ = proc.Close() }()
	if !f.ours(proc) {
		return Process{}, ErrGone
	}
	status, ok := readSome(proc, "status")
	if !ok {
		return Process{}, ErrGone
	}
	p := Process{HostPID: pid, PID: pid}
	p.take(status)
	words, _ := readSome(proc, "cmdline") // what can't be read is not known
	args := strings.Split(strings.TrimRight(words, "\x00"), "\x00")
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasSuffix(a, ".py") }); i >= 0 {
		p.Script = args[i]
	}
	return p, nil
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

// ours reports whether a process is one of those that pids lists.
func (f *Finder) ours(proc *os.Root) bool {
	if f.confined() {
		cgroups, _ := readSome(proc, "cgroup")
		return within(cgroups, f.cgroup)
	}
	id, err := netns.ID(f.ns)
	if err != nil {
		return false
	}
	link, err := proc.Readlink("ns/net")
	return err == nil && link == id
}

// confined reports whether the sandbox has a cgroup, by which its processes are told.
func (f *Finder) confined() bool {
	return f.cgroup != "" && slices.ContainsFunc(hierarchies, func(h string) bool {
		_, err := os.Stat(filepath.Join(h, f.cgroup))
		return err == nil
	})
}

// within reports whether proc_pid_cgroup(5) names a cgroup or one below it, in one
// hierarchy or another. Where this process is in a container, what it sees as the root
// may have a path before it.
func within(cgroups, cgroup string) bool {
	for line := range strings.Lines(cgroups) {
		_, rest, _ := strings.Cut(line, ":")
		_, path, _ := strings.Cut(rest, ":")
		if strings.Contains(strings.TrimSuffix(path, "\n")+"/", cgroup+"/") {
			return true
		}
	}
	return false
}

// maxRead is how much of a file of /proc is read, in bytes: a sandbox chooses some of it.
const maxRead = 16 << 10

func readSome(proc *os.Root, name string) (text string, ok bool) {
	f, err := proc.Open(name)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxRead))
	return string(b), err == nil && len(b) > 0
}
