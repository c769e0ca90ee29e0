// Package backend is where the records of an environment are kept. Package state
// knows what is in them; a Store only keeps bytes by name, and the lock.
//
// There is one Store now, package local, in the project's own folder. Another one
// (http, s3, postgres, etcd) is a package beside it that passes package backendtest.
package backend

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Version stands for what a record holds. Two different contents never have the
// same one. "" is that of a record that is not there.
type Version string

// A Store keeps the records of one environment. Names are relative paths with
// slashes: "state.json", "history/12.json". A call ends in bounded time: a Store that
// talks to others has time-outs of its own, and its errors say so.
type Store interface {
	// Get returns a record and its version, or ErrNotFound.
	Get(name string) ([]byte, Version, error)

	// Put replaces a record if its version is still was, and else changes nothing and
	// returns ErrConflict: whoever lost the lock without knowing can't undo what its
	// new holder did. Who reads sees the old content or the new, never a part, also
	// after a crash or a full disk; when it returns without error, what was written
	// survives a power failure.
	Put(name string, b []byte, was Version) error

	// Delete removes a record. It is no error if there is none.
	Delete(name string) error

	// List returns the names of the records below a folder, sorted.
	List(folder string) ([]string, error)

	// Lock takes the lock that changes are made under, or returns a *LockedError at
	// once. A lock whose holder is dead is taken over, never a live one's.
	Lock(who Holder) (unlock func(), err error)

	// Holder says who has the lock; nil is nobody. Readers ask it and never lock.
	Holder() (*Holder, error)

	// Break frees the lock with this id if its holder is dead and the lock is not
	// taken over by itself, as one that a process inherited. Else it returns an error
	// that says why not.
	Break(id string) error
}

// What a Store can answer.
var (
	ErrNotFound = errors.New("no such record")
	ErrConflict = errors.New("somebody else changed the record")
	ErrLocked   = errors.New("the environment is locked by another blast command")
)

// A Holder is who holds a lock.
type Holder struct {
	ID      string    `json:"id"`      // made up for this one hold
	PID     int       `json:"pid"`     // the process that holds it
	Start   uint64    `json:"start"`   // its start in clock ticks since boot, field 22 of proc_pid_stat(5): a pid is used again
	Boot    string    `json:"boot_id"` // of random(4): pids of another boot are nobody's
	PIDs    string    `json:"pid_ns"`  // of pid_namespaces(7): those of another container are counted apart
	Host    string    `json:"host"`
	Command string    `json:"command"`          // "blast apply"
	Client  int       `json:"client,omitempty"` // pid of that command, where it is another process
	Since   time.Time `json:"since"`
}

// Myself is this process as a holder.
func Myself(id, command string, client int) Holder {
	pid := os.Getpid()
	start, _ := startOf(pid) // 0 is nobody's
	host, _ := os.Hostname() // it only explains
	return Holder{ID: id, PID: pid, Start: start, Boot: bootID(), PIDs: pidNS(), Host: host, Command: command, Client: client, Since: time.Now().UTC().Truncate(time.Second)}
}

// Alive reports whether the holder still runs, as far as this process can see: see
// Foreign.
func (h Holder) Alive() bool {
	start, err := startOf(h.PID)
	return err == nil && start == h.Start && !h.Foreign()
}

// Foreign reports whether nobody here can tell if the holder runs: it is on another
// machine, or in another container.
func (h Holder) Foreign() bool {
	return h.Boot != bootID() || h.PIDs != "" && h.PIDs != pidNS()
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "a process that has not said who it is"
	}
	who := fmt.Sprintf("%s, pid %d", h.Command, h.PID)
	if h.Client > 0 {
		who = fmt.Sprintf("%s (pid %d, by blastd, pid %d)", h.Command, h.Client, h.PID)
	}
	return fmt.Sprintf("%s on %s since %s", who, h.Host, h.Since.Local().Format(time.TimeOnly))
}

// Started is when the holder's process started. It is zero if that was not on this
// boot.
func (h Holder) Started() time.Time {
	if h.Boot != bootID() || h.Start == 0 {
		return time.Time{}
	}
	return AtTick(h.Start)
}

// AtTick is when the kernel's clock had counted that many ticks since boot, to about a
// second (proc_pid_stat(5), proc_stat(5)). It is zero if nobody can tell.
func AtTick(n uint64) time.Time {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	booted, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return time.Time{}
	}
	const tick = 10 * time.Millisecond                             // USER_HZ is 100 wherever Go runs
	return time.Unix(booted, 0).Add(time.Duration(n) * tick).UTC() //nolint:gosec // ticks since boot
}

// A LiveError is a lock that can't be broken, as its holder lives, or may.
type LiveError struct{ Holder Holder }

func (e *LiveError) Error() string {
	if e.Holder.Foreign() {
		return fmt.Sprintf("its holder is on another machine or in another container, where it may be alive: %v; end that command there", e.Holder)
	}
	return fmt.Sprintf("its holder is alive: %v; end that command instead", e.Holder)
}

// Unwrap returns ErrLocked.
func (e *LiveError) Unwrap() error { return ErrLocked }

// A LockedError says who holds the lock. It is an ErrLocked.
type LockedError struct{ Holder Holder }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%v: %v; wait for it with --lock-timeout, or try again when it has ended", ErrLocked, e.Holder)
}

// Unwrap returns ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func pidNS() string {
	s, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return s
}

func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, field 2, may hold blanks and brackets itself.
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	f := strings.Fields(rest)
	const start = 22 - 3
	if len(f) <= start {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	return strconv.ParseUint(f[start], 10, 64)
}
