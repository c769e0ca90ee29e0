//go:build linux

// Package probes is what a program in a sandbox tries to reach the host: each probe is one
// way, in the words of an attacker. A probe is the same code inside, where it must be
// stopped, and outside, as the host's root, where it must reach its goal: so one that is
// broken in itself doesn't pass for one that was stopped.
//
// To add one, write it into the list of its category. Try returns nil if, as far as the
// attacker can tell, it reached its goal. What it brings home it hands to Found; what it
// leaves behind holds its token. Outside nothing of the host's may be changed for good:
// write back what was there, or ask with arguments that the kernel looks at only after
// it has looked at the rights.
package probes

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Probe is one attempt.
type Probe struct {
	Name     string // unique, kebab-case
	Category string
	What     string // in one line
	CVE      string // of whose class it is
	Try      func(a *Aim) error

	Reads  bool // it is judged by the secret that it brings home, not by its own account
	Writes bool // it is judged by its token, too, in a file where the host would believe it
	Cap    int  // a capability(7) of root's that it needs outside; a machine may not give it
	Person bool // outside it is tried as somebody without rights

	Known string // why it may reach its goal inside: see docs/threat-model.md
}

// An Aim is one try of a probe.
type Aim struct {
	Token  string // what it leaves behind
	Inside bool   // of a sandbox
	Target
	loot []byte
}

// A Target is what there is to reach, which the attacker knows all about.
type Target struct {
	Secret  string // a file of root's alone
	Shown   string // one that anybody on the host may read
	Folder  string // where anybody on the host may write
	Project string // the project's folder: on the host, or as it is seen inside
	Handle  []byte // of Secret, see name_to_handle_at(2)
	Kind    int32  // of that handle
	Victim  int    // a process of root's that has the secret in its environment, its memory, its folder and a descriptor
	Init    int    // process 1 of the sandbox; outside the victim stands for it
	Key     int    // of a System V segment, queue and semaphore
	Shm     string // a file of /dev/shm
	Pts     string // the path of a terminal of the host's
	Disk    uint64 // the number of the device that has the host's root
}

// Found keeps what a probe brought home.
func (a *Aim) Found(b []byte) { a.loot = append(a.loot, b[:min(len(b), 1<<16)]...) }

// A Result is what came of it.
type Result struct {
	Name    string        `json:"name"`
	Through bool          `json:"through"`          // as the attacker sees it
	Absent  bool          `json:"absent,omitempty"` // this machine has nothing of the kind
	Err     string        `json:"err,omitempty"`
	Loot    []byte        `json:"loot,omitempty"`
	Took    time.Duration `json:"took"`
}

// All lists the probes by category.
func All() []Probe {
	return slices.Concat(fileProbes(), plantProbes(), mountProbes(), procProbes(), cgroupProbes(), deviceProbes(), terminalProbes(), processProbes(), initProbes(),
		privilegeProbes(), namespaceProbes(), syscallProbes(), leakProbes(), ipcProbes())
}

// Named finds a probe.
func Named(name string) (Probe, bool) {
	all := All()
	i := slices.IndexFunc(all, func(p Probe) bool { return p.Name == name })
	if i < 0 {
		return Probe{}, false
	}
	return all[i], true
}

// errAbsent says that the machine has nothing of the kind.
var errAbsent = errors.New("this machine has nothing of the kind")

// absent are errors of a kernel that doesn't know what was asked for. Inside they may be how
// it was refused: only outside do they mean that.
var absent = []error{errAbsent, fs.ErrNotExist, unix.ENOSYS, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.ENODEV, unix.ENXIO, unix.EOPNOTSUPP}

// Run tries a probe.
func (p Probe) Run(a *Aim) Result {
	if !a.Inside && p.Cap != 0 && !capable(p.Cap) {
		return Result{Name: p.Name, Absent: true, Err: "this machine's root lacks the capability"}
	}
	if !a.Inside && p.Person {
		if err := becomeNobody(); err != nil {
			return Result{Name: p.Name, Err: err.Error()}
		}
	}
	start := time.Now()
	err := p.Try(a)
	r := Result{Name: p.Name, Through: err == nil, Took: time.Since(start), Loot: a.loot}
	if err != nil {
		r.Err = err.Error()
		r.Absent = !a.Inside && slices.ContainsFunc(absent, func(e error) bool { return errors.Is(err, e) })
	}
	return r
}
