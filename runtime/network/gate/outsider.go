package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/state"
)

// filterNote keeps who changed the packet filter last over a restart of the daemon.
const filterNote = "filter"

// A hand is who made the last transaction that was seen in a namespace. All but the
// numbers it says of itself.
type hand struct {
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

// watchHands notes who changes the packet filter, until the returned function is
// called.
func (g *gate) watchHands(ns *os.File) (stop func(), err error) {
	last := hand{NS: g.nsID}
	if was, err := lastHand(g.env); err == nil && was.NS == g.nsID {
		last = was
	}
	g.hands, err = nft.NewWatch(ns, func(cs []nft.Commit) {
		last = last.after(cs)
		if err := g.env.WriteNote(filterNote, last); err != nil {
			g.log.Error("note who changed the packet filter", "env", g.env.ID, "err", err)
		}
	})
	if err != nil {
		return nil, err
	}
	return g.hands.Close, nil
}

func lastHand(env state.Env) (hand, error) {
	var h hand
	_, err := env.ReadNote(filterNote, &h)
	return h, err
}

// after is who was the last after these.
func (h hand) after(cs []nft.Commit) hand {
	for _, c := range cs {
		if ours(c) {
			h.Ours = c.ID
		}
	}
	c := cs[len(cs)-1]
	next := hand{NS: h.NS, ID: c.ID, Ours: h.Ours}
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
func (h *hand) look(c nft.Commit) {
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

const unknownHand = "not known by whom"

// tell says who made the ruleset with this id. Those that it made itself it does not
// mention: what differs then was changed in another way.
func (h hand) tell(ns string, id uint32) string {
	if h.NS != ns || h.ID != id {
		return unknownHand
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

// Witness implements kinds.Witness: who changed the packet filter last. The kernel
// counts rulesets, so that one whose maker was not seen, as no daemon ran, is noticed.
func (h *Host) Witness(_ context.Context, env state.Env) (map[string]string, error) {
	ns, err := netns.Open(pinPath(env))
	if errors.Is(err, netns.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	nsID, err := netns.ID(ns)
	if err != nil {
		return nil, err
	}
	h.catch(env)
	id, err := nft.Generation(ns)
	if err != nil {
		return nil, err
	}
	last, err := lastHand(env)
	if err != nil {
		return nil, err
	}
	known := map[string]string{network.NamespaceAddr: unknownHand}
	if by := last.tell(nsID, id); by != "" {
		known[network.PolicyAddr] = by
	}
	return known, nil
}

// catch has noted all transactions until now, if a gate watches them.
func (h *Host) catch(env state.Env) {
	if g := h.running(env); g != nil {
		g.hands.Catch()
	}
}
