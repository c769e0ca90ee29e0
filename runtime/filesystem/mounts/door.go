//go:build linux

package mounts

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/track/fan"
)

// A door closes the time between a file that a pattern hides and the mask on it: the kernel
// asks it before anything in the workspace is opened by the sandbox (FAN_OPEN_PERM). Before it
// answers it hears of all names that were made until then, so it is not outrun, and a file
// that once had a name which a pattern hides is not shown by another one: whoever renames or links
// it is told of before the next open is asked about.
//
// Who waits for it waits for this process. So it takes no lock that anybody holds while
// files of the sandbox are opened, and what takes too long ends the door: then masks are all
// there is, as they are without blastd.
type door struct {
	gate  *fan.Group
	scout *scout
	news  func()        // something was found
	wait  time.Duration // for an answer, at most
	log   *slog.Logger
	ended atomic.Bool
	stop  *os.File // closed to end it
	done  chan struct{}
}

// maxWait is how long a sandbox waits for an answer at most, as a rule.
const maxWait = 5 * time.Second

// openDoor begins to answer. It is asked about nothing yet.
func openDoor(ctx context.Context, c *scout, wait time.Duration, news func(), log *slog.Logger) (*door, error) {
	gate, err := fan.OpenGate()
	if err != nil {
		return nil, err
	}
	rung, bell, err := os.Pipe()
	if err != nil {
		_ = gate.Close()
		return nil, err
	}
	d := &door{gate: gate, scout: c, news: news, wait: wait, log: log, stop: bell, done: make(chan struct{})}
	go d.run(ctx, rung)
	return d, nil
}

// close lets all that waits go on.
func (d *door) close() {
	if d == nil {
		return
	}
	_ = d.stop.Close()
	<-d.done
	_ = d.gate.Close()
}

// closeAll closes the scout, too.
func (d *door) closeAll() {
	if d != nil {
		d.close()
		d.scout.close()
	}
}

// mark asks about all that is opened through a mount.
func (d *door) mark(m *os.File) error {
	if d == nil || d.ended.Load() {
		return nil
	}
	err := d.gate.MarkMount(m, fan.Opens)
	if errors.Is(err, unix.EACCES) { // another user's of the host: nobody inside can read it
		return nil
	}
	return err
}

// cover asks about the mounts of the workspace's files that are there.
func (d *door) cover(b *box, s *sight) error {
	if d == nil || d.ended.Load() {
		return nil
	}
	marked, err := d.gate.Mounts()
	if err != nil {
		return err
	}
	for i, w := range b.tree {
		if j := s.of[i]; j < 0 || !b.shows(w) || marked[s.rows[j].ID] != 0 {
			continue
		}
		f, err := b.at(s.rows[s.of[i]])
		if err != nil {
			return err
		}
		if f == nil {
			continue // nobody sees it
		}
		err = d.mark(f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// shows reports whether files of the host can be opened through w.
func (b *box) shows(w want) bool {
	if w.Type == filesystem.Bind {
		return true
	}
	return w.Type != filesystem.Hide && w.base >= 0 && b.tree[w.base].Type == filesystem.Bind
}

func (d *door) run(ctx context.Context, rung *os.File) {
	defer close(d.done)
	defer func() { _ = rung.Close() }()
	for {
		fds := []unix.PollFd{{Fd: d.gate.FD(), Events: unix.POLLIN}, {Fd: int32(rung.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			d.end("poll: " + err.Error())
			return
		}
		if fds[1].Revents != 0 || d.ended.Load() {
			return
		}
		dog := time.AfterFunc(d.wait, func() { d.end("no answer in " + d.wait.String()) })
		d.turn(ctx)
		dog.Stop()
	}
}

// end opens the door for good.
func (d *door) end(why string) {
	if !d.ended.Swap(true) {
		d.log.Error("new files that patterns hide can be opened until they are masked", "cause", why)
		if err := d.gate.Release(); err != nil {
			d.log.Error("the sandbox may hang", "err", err)
		}
	}
}

// turn answers all that is asked.
func (d *door) turn(ctx context.Context) {
	es, err := d.gate.Read()
	if err != nil {
		d.end(err.Error())
		return
	}
	if len(es) == 0 {
		return
	}
	news, allow := d.scout.judge(ctx, es)
	for i, e := range es {
		if allow[i] && !e.Folder() {
			_ = d.gate.Pass(e) // what is shown once may be kept open anyway; if it can't be, it is asked about again
		}
		if err := d.gate.Answer(e, allow[i]); err != nil && !d.ended.Load() {
			d.log.Error("answer an open", "err", err)
		}
		e.Close()
	}
	if news {
		d.news()
	}
}

// judge says which opens may go on, after all names that were made before them are heard of.
func (c *scout) judge(ctx context.Context, es []fan.Event) (news bool, allow []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news, err := c.listen(ctx)
	allow = make([]bool, len(es))
	for i, e := range es {
		allow[i] = e.FD < 0 || err == nil && !c.hides(e)
	}
	return news || err != nil, allow
}

// hides reports whether an open file is one that a pattern hides, or lies in such a folder,
// by its path or by the names that it had.
func (c *scout) hides(e fan.Event) bool {
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(e.FD))
	if err != nil {
		return true
	}
	rel, ok := c.inSource(strings.TrimSuffix(p, deleted))
	return ok && c.hidesPath(rel, e.Folder()) || c.shed.has(c, e, rel)
}

const deleted = " (deleted)"

// inSource is where a path of the sandbox lies in the source of the workspace.
func (c *scout) inSource(p string) (rel string, ok bool) {
	var best filesystem.Mount
	for _, m := range c.binds() {
		if within(p, m.Target) && len(m.Target) > len(best.Target) {
			best = m
		}
	}
	if best.Target == "" {
		return strings.TrimPrefix(p, "/"), true // of a mount that is gone: its root is the start
	}
	file := path.Join(best.Source, strings.TrimPrefix(p, best.Target))
	if file == c.source || !within(file, c.source) {
		return "", false
	}
	return strings.TrimPrefix(file, c.source+"/"), true
}

// hidesPath reports whether a pattern hides a path, or a folder that it lies in.
func (c *scout) hidesPath(rel string, folder bool) bool {
	for ; rel != "." && rel != ""; rel, folder = path.Dir(rel), true {
		if slices.ContainsFunc(c.patterns, func(p filesystem.Pattern) bool { return p.Type == filesystem.Hide && p.Match(rel, folder) }) {
			return true
		}
	}
	return false
}
