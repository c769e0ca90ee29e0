//go:build linux

package mounts

import (
	"context"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/track/fan"
)

// A shed is what had a name that a pattern hides, and got another one before it was masked, for
// as long as it exists: a command that is quick enough can do that. Once it is masked only the
// host can, and means it.
type shed struct {
	all     map[fan.Handle]bool // true: a folder
	folders int
}

// maxShed bounds how many are remembered; those that are gone are forgotten first.
const maxShed = 20_000

// note remembers what had a name that is hidden.
func (c *scout) note(e fan.Event) {
	from := c.hidesName(e.Dir, e.Name, e.Folder())
	to := from
	if e.Mask&unix.FAN_RENAME != 0 {
		to = c.hidesName(e.NewDir, e.NewName, e.Folder())
	}
	switch {
	case to, from && !c.wasMasked(e) && !byHost(e.PID):
		c.shed.add(e.Object, e.Folder(), c.root)
	case from:
		c.shed.drop(e.Object)
	}
}

// wasMasked reports whether what was renamed had its mask, with which nobody inside can.
func (c *scout) wasMasked(e fan.Event) bool {
	at, ok := c.pathOf(e.Dir)
	return ok && c.finds[path.Join(at, e.Name)].masked == e.Object
}

// settle notes that all finds that were wanted are masked, and reports whether more came
// meanwhile.
func (c *scout) settle(ctx context.Context) (news bool, err error) {
	if c == nil {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		return false, nil
	}
	for rel, f := range c.finds {
		if !f.wanted || f.masked != (fan.Handle{}) {
			continue
		}
		in, err := mountns.OpenAt(c.root, rel, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
		if err != nil {
			continue // the next look tells
		}
		if h, err := fan.HandleOf(in); err == nil {
			f.masked = h
			c.finds[rel] = f
		}
		_ = in.Close()
	}
	return c.listen(ctx) // what was replaced meanwhile is a find without a mask again
}

// hidesName reports whether a pattern hides a name in a folder.
func (c *scout) hidesName(dir fan.Handle, name string, folder bool) bool {
	if name == "" || !c.mayHide(name, folder) {
		return false
	}
	at, ok := c.pathOf(dir)
	return ok && c.hidesPath(path.Join(at, name), folder)
}

// mayHide reports whether a name is worth finding its folder.
func (c *scout) mayHide(name string, folder bool) bool {
	for _, p := range c.patterns {
		if p.MayMatch(name, folder) {
			return true
		}
	}
	return false
}

// byHost reports whether a process is one of the host's, as far as that can be told.
func byHost(pid int) bool {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
	ours, oerr := os.Readlink("/proc/self/ns/pid")
	return err == nil && oerr == nil && theirs == ours
}

func (s *shed) add(h fan.Handle, folder bool, root *os.File) {
	if s.all == nil {
		s.all = map[fan.Handle]bool{}
	}
	if len(s.all) >= maxShed {
		s.prune(root)
	}
	if _, known := s.all[h]; !known && len(s.all) < maxShed {
		s.all[h] = folder
		if folder {
			s.folders++
		}
	}
}

func (s *shed) drop(h fan.Handle) {
	if s.all[h] {
		s.folders--
	}
	delete(s.all, h)
}

// prune forgets what is gone.
func (s *shed) prune(root *os.File) {
	for h := range s.all {
		f, err := h.Open(root)
		if err != nil {
			s.drop(h)
			continue
		}
		_ = f.Close()
	}
}

// has reports whether the file of an event, or a folder that it lies in, is remembered.
func (s *shed) has(c *scout, e fan.Event, rel string) bool {
	if len(s.all) == 0 {
		return false
	}
	if h, err := e.Handle(); err == nil {
		if _, known := s.all[h]; known {
			return true
		}
	}
	if s.folders == 0 {
		return false
	}
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		f, err := mountns.OpenAt(c.root, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
		if err != nil {
			continue
		}
		h, err := fan.HandleOf(f)
		_ = f.Close()
		if s.all[h] && err == nil {
			return true
		}
	}
	return false
}
