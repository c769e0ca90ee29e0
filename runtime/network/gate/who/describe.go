package who

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/runtime/hostinfo/task"
	"blast.example/blast/runtime/network/gate/netns"
)

// Describe is what is known about a process of the sandbox. Of one that is gone it is
// only its number, whoever has that by now.
func (f *Finder) Describe(pid int) Process {
	p, _ := f.described(pid) // zero with an error
	p.HostPID = pid
	return p
}

// described says what a process of the sandbox is, or ErrGone.
func (f *Finder) described(pid int) (Process, error) {
	proc, err := task.Open(pid)
	if err != nil {
		return Process{}, ErrGone
	}
	defer proc.Close()
	if !f.ours(proc) {
		return Process{}, ErrGone
	}
	p, ok := proc.Process()
	if !ok {
		return Process{}, ErrGone
	}
	return p, nil
}

// ours reports whether a process is one of those that pids lists.
func (f *Finder) ours(proc *task.Folder) bool {
	if f.confined() {
		cgroups, _ := proc.Read("cgroup")
		return within(cgroups, f.cgroup)
	}
	id, err := netns.ID(f.ns)
	if err != nil {
		return false
	}
	link, err := proc.Namespace("net")
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
