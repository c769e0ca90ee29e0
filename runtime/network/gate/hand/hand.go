// Package hand is who changed the packet filter of a sandbox: not Blast, but a person or a
// program of the host's. It is told to explain drift, and decides nothing.
package hand

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/network/gate/nft"
)

// A Hand is who made the last transaction that was seen in a namespace. All but the
// numbers it says of itself.
type Hand struct {
	NS   string `json:"ns"`
	ID   uint32 `json:"id"`             // of the ruleset that it made
	Ours uint32 `json:"ours,omitempty"` // of the last one that Blast made

	PID  int    `json:"pid,omitempty"`
	Name string `json:"name,omitempty"`

	// What /proc said, if the process was still there.
	UID     *int   `json:"uid,omitempty"`     // effective
	Program string `json:"program,omitempty"` // the file that it runs
	Command string `json:"command,omitempty"` // its arguments; shown to nobody, as secrets may be among them
}

// After is who was the last after these, of which there is one at least.
func (h Hand) After(cs []nft.Commit) Hand {
	for _, c := range cs {
		if ours(c) {
			h.Ours = c.ID
		}
	}
	c := cs[len(cs)-1]
	next := Hand{NS: h.NS, ID: c.ID, Ours: h.Ours}
	if c.ID != h.Ours {
		next.look(c)
	}
	return next
}

// ours reports whether a thread of this process made a transaction. Where it has
// other numbers than the kernel tells, its name has to do.
func ours(c nft.Commit) bool {
	if _, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(c.PID))); err == nil {
		return true
	}
	comm, err := os.ReadFile("/proc/self/comm")
	return err == nil && !hostinfo.InitialPIDs() && strings.TrimSuffix(string(comm), "\n") == c.Name
}

// Bounds of what is noted, in bytes.
const (
	maxProgram = 256
	maxCommand = 1 << 10
	maxStatus  = 16 << 10
)

// look finds out about the process, which may be gone already. Another one that got
// its number in between has another name.
func (h *Hand) look(c nft.Commit) {
	h.PID, h.Name = c.PID, c.Name
	if !hostinfo.InitialPIDs() {
		return
	}
	proc, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(c.PID)))
	if err != nil {
		return
	}
	defer func() { _ = proc.Close() }()
	if is := readSome(proc, "comm", maxStatus); strings.TrimSuffix(is, "\n") != c.Name {
		return
	}
	for line := range strings.Lines(readSome(proc, "status", maxStatus)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "Tgid:": // what made it may be one of its threads
			if n, err := strconv.Atoi(f[1]); err == nil {
				h.PID = n
			}
		case len(f) > 2 && f[0] == "Uid:":
			if n, err := strconv.Atoi(f[2]); err == nil {
				h.UID = &n
			}
		}
	}
	if exe, err := proc.Readlink("exe"); err == nil {
		h.Program = exe[:min(len(exe), maxProgram)]
	}
	h.Command = strings.TrimSpace(strings.ReplaceAll(readSome(proc, "cmdline", maxCommand), "\x00", " "))
}

func readSome(dir *os.Root, name string, most int64) string {
	f, err := dir.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(io.LimitReader(f, most)) // what there is of a process that ends
	return strings.ToValidUTF8(string(b), "?")
}

// Unknown is said of what nobody was seen to do.
const Unknown = "not known by whom"

// Tell says who made the ruleset with this id. Those that it made itself it does not
// mention: what differs then was changed in another way.
func (h Hand) Tell(ns string, id uint32) string {
	if h.NS != ns || h.ID != id {
		return Unknown
	}
	if h.ID == h.Ours {
		return ""
	}
	facts := []string{fmt.Sprintf("pid %d", h.PID)}
	if h.UID != nil {
		facts = append(facts, fmt.Sprintf("uid %d", *h.UID))
	}
	if h.Program != "" && path.Base(h.Program) != h.Name {
		facts = append(facts, wording.Foreign(h.Program, maxShown))
	}
	s := fmt.Sprintf("by %s (%s)", wording.Foreign(h.Name, maxShown), strings.Join(facts, ", "))
	if n := h.ID - h.Ours; n > 1 && h.Ours != 0 {
		s += fmt.Sprintf(", the last of %d changes", n)
	}
	return s
}

// maxShown is how much of a name or path is shown, in characters.
const maxShown = 60
