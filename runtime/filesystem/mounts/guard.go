//go:build linux

package mounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// A guard keeps the mounts of one running sandbox as they are wanted.
//
// Inside, a mount point can't be renamed or removed. On the host it can: an editor
// that saves .env writes another file and renames it over the old one, and the
// kernel then takes away what was mounted on that, in every namespace. The guard is told
// so at once, and covers the new file. It takes about a millisecond, in which the
// new file is not protected.
//
// What can't be protected any more must not be reached: if a mask can't be
// put back, the sandbox ends. Covering or taking away the workspace would not
// keep out a process that has a folder of it open.
type guard struct {
	host *Host
	env  state.Env
	box  *box
	tree filesystem.Tree // what was wanted last
	log  *slog.Logger

	init    *os.File // pidfd of the sandbox's init
	table   *os.File // its mount table
	renames *renames
	scout   *scout   // of what the tree's patterns match
	door    *door    // for what they hide
	spent   *door    // the one before, until that one is asked
	stop    *os.File // closed to end the guard
	stopped *os.File
	done    chan struct{}

	overlays bool // there is an overlay in the sandbox

	bell, rung *os.File // a pipe: who rings has the guard look at once
	mu         sync.Mutex
	asked      []chan struct{} // closed after the next look
}

// heartbeat is how often a guard looks without being told to: no event tells of an option
// of a mount that root has changed by hand.
const heartbeat = 5 * time.Second

// deafbeat is how often it looks where renames can't be told: a look takes less
// than a millisecond.
const deafbeat = 50 * time.Millisecond

// overlaybeat is how often it lets an overlay ask again what the host has: what was replaced there
// shows as it was for as long as the kernel remembers it.
const overlaybeat = time.Second

// deafShare is how much longer than a look at the whole workspace the time between two is.
const deafShare = 20

// newGuard starts a guard, which has looked once when it returns.
func newGuard(ctx context.Context, h *Host, env state.Env, t filesystem.Tree) (*guard, error) {
	b, err := enter(ctx, env, t.Sandbox)
	if err != nil {
		return nil, err
	}
	g := &guard{host: h, env: env, box: b, tree: t, done: make(chan struct{}), log: h.log.With("env", env.ID, "sandbox", t.Sandbox)}
	if err := g.open(); err != nil {
		g.close()
		return nil, fmt.Errorf("guard mounts: %w", err)
	}
	if _, err := g.mend(ctx); err != nil {
		g.fail(err)
		g.close()
		return nil, fmt.Errorf("guard mounts: the sandbox was ended: %w", err)
	}
	if g.renames == nil {
		g.close()
		return nil, sandbox.ErrNotRunning
	}
	go g.run() //nolint:contextcheck // it lives as long as the sandbox, not as the call that started it
	return g, nil
}

func (g *guard) open() error {
	fd, err := unix.PidfdOpen(g.box.pid, 0)
	if err != nil {
		return err
	}
	g.init = os.NewFile(uintptr(fd), "pidfd")
	if g.table, err = os.Open("/proc/" + strconv.Itoa(g.box.pid) + "/mountinfo"); err != nil {
		return err
	}
	// Both are of that very process: it has not ended since.
	if g.gone() {
		return sandbox.ErrNotRunning
	}
	if g.stopped, g.stop, err = os.Pipe(); err != nil {
		return err
	}
	g.rung, g.bell, err = os.Pipe()
	return err
}

// close frees what the guard has; it must not run any more.
func (g *guard) close() {
	g.box.close()
	g.renames.close()
	g.spent.closeAll()
	g.door.close()
	g.scout.close()
	for _, f := range []*os.File{g.init, g.table, g.stop, g.stopped, g.bell, g.rung} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// end stops the guard and waits for that.
func (g *guard) end() {
	_, _ = g.stop.Write([]byte{0})
	<-g.done
	g.close()
}

// lookNow returns when the guard has looked and put back what was missing, or has ended.
func (g *guard) lookNow(ctx context.Context) {
	looked := make(chan struct{})
	g.mu.Lock()
	g.asked = append(g.asked, looked)
	g.mu.Unlock()
	g.ring()
	select {
	case <-looked:
	case <-g.done:
	case <-ctx.Done():
	}
}

// askers are those who wait for a look that has not begun.
func (g *guard) askers() []chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

// over reports whether the guard has nothing to guard any more.
func (g *guard) over() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

func (g *guard) run() {
	defer close(g.done)
	ctx := context.Background()
	for {
		why, err := g.wait(ctx, g.beat())
		if err != nil {
			g.fail(err)
			return
		}
		if why == ended {
			return
		}
		asked, begun := g.askers(), time.Now()
		mended, err := g.mend(ctx)
		if err != nil {
			g.fail(err)
			return
		}
		for _, looked := range asked {
			close(looked)
		}
		if !mended && g.pause(min(time.Since(begun), maxRest)) {
			return
		}
	}
}

// beat is how long a guard waits to be told something.
func (g *guard) beat() time.Duration {
	beat := heartbeat
	switch {
	case g.renames.deaf():
		beat = deafbeat
	case g.overlays:
		beat = overlaybeat
	}
	if deaf, wait := g.scout.deaf(); deaf {
		beat = min(beat, wait)
	}
	return beat
}

// pause lets time pass, and reports whether to end. After a look that found
// nothing it is as long as that took: somebody who makes events without end gets half of a
// processor at most.
func (g *guard) pause(d time.Duration) (end bool) {
	fds := []unix.PollFd{{Fd: int32(g.stopped.Fd()), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, int(d.Milliseconds()))
	return n > 0
}

// maxRest bounds how long a protection may wait for its turn.
const maxRest = 5 * time.Millisecond

type cause int

const (
	ended   cause = iota // the sandbox, or the guard's work
	changed              // something was mounted, taken away or renamed, or somebody wants to be sure
	quiet                // nothing was heard for a time
)

// wait waits until there is something to do.
func (g *guard) wait(ctx context.Context, timeout time.Duration) (cause, error) {
	fds := []unix.PollFd{
		{Fd: int32(g.stopped.Fd()), Events: unix.POLLIN},
		{Fd: int32(g.init.Fd()), Events: unix.POLLIN},
		{Fd: int32(g.table.Fd()), Events: unix.POLLPRI},
		{Fd: g.renames.fd(), Events: unix.POLLIN},
		{Fd: int32(g.rung.Fd()), Events: unix.POLLIN},
		{Fd: g.scout.fd(), Events: unix.POLLIN},
	}
	for {
		n, err := unix.Poll(fds, int(timeout.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return ended, fmt.Errorf("watch mounts: %w", err)
		case fds[0].Revents != 0 || fds[1].Revents != 0:
			return ended, nil
		case n == 0:
			return quiet, nil
		case fds[4].Revents != 0:
			_, _ = g.rung.Read(make([]byte, 1))
		case fds[2].Revents|fds[3].Revents == 0: // names only, and most are no patterns'
			begun := time.Now()
			if news, err := g.scout.hear(ctx); err == nil && !news { // an error comes again, and is judged, when it mends
				g.pause(min(time.Since(begun), maxRest))
				continue
			}
		}
		return changed, nil
	}
}

// A guard tries this often to put a protection back before it ends the sandbox,
// waiting a little longer each time: somebody on the host may be in the middle of
// a rename. What can't be protected as it is gets less patience.
const (
	attempts         = 8 // about a quarter of a second
	obstacleAttempts = 3
)

// mend puts back what is missing, and watches what is there then.
func (g *guard) mend(ctx context.Context) (mended bool, err error) {
	defer g.host.lock(g.env)()
	g.follow()
	for n := range attempts {
		mended, err = g.mendOnce(ctx)
		if err == nil {
			return mended, nil
		}
		var in *ObstacleError
		if errors.As(err, &in) && n >= obstacleAttempts {
			return mended, err
		}
		if g.pause(time.Millisecond<<n) || g.gone() {
			return mended, nil
		}
	}
	return mended, err
}

func (g *guard) mendOnce(ctx context.Context) (mended bool, err error) {
	if err := g.read(); err != nil {
		return false, err
	}
	ws, err := g.wants(ctx)
	if err != nil {
		return false, err
	}
	defer g.box.scope()()
	g.box.want(ws, g.tree.Layer.ID)
	g.overlays = slices.ContainsFunc(ws, want.overlay)
	for first := true; ; first = false {
		s, err := g.box.look()
		if err != nil {
			return mended, err
		}
		if !s.fine() {
			if err := g.box.mend(ctx, s); err != nil && !errors.Is(err, errRaced) { // at once: every look takes time
				return mended, err
			}
			if err := g.box.converge(ctx); err != nil {
				return mended, err
			}
			mended = true
			g.log.Warn("mounts put back", "missing", s.drift())
		} else if !first {
			if err := g.box.refresh(); err != nil { // it shows what it showed: no protection is missing
				g.log.Warn("an overlay may show files of the project as they were", "err", err)
			}
			return mended, g.settle(ctx, s)
		}
		// First watch, then look: what comes between is seen by one of the two.
		watch, err := g.box.watchRenames()
		if err != nil {
			return mended, err
		}
		g.renames.close()
		g.renames = watch
	}
}

// wants lists what must be mounted now.
func (g *guard) wants(ctx context.Context) ([]want, error) {
	if !g.scout.of(g.env, g.tree) {
		if err := g.send(ctx); err != nil {
			return nil, err
		}
	}
	return g.scout.refresh(ctx)
}

// send has a scout look at what the tree wants now, and a door for it.
func (g *guard) send(ctx context.Context) error {
	s, err := newScout(ctx, g.env, g.tree)
	if err != nil {
		return err
	}
	var d *door
	if slices.ContainsFunc(g.tree.Patterns, func(p filesystem.Pattern) bool { return p.Type == filesystem.Hide }) {
		if d, err = openDoor(context.WithoutCancel(ctx), s, maxWait, g.ring, g.log); err != nil {
			s.close()
			return err
		}
	}
	g.spent.closeAll()
	g.spent = g.door
	if g.door == nil {
		g.scout.close()
	}
	g.scout, g.door, g.box.door = s, d, d
	return nil
}

// settle tells who watches what patterns match that all of it is mounted.
func (g *guard) settle(ctx context.Context, s *sight) error {
	if err := g.door.cover(g.box, s); err != nil {
		return err
	}
	g.spent.closeAll()
	g.spent = nil
	news, err := g.scout.settle(ctx)
	if news {
		g.ring()
	}
	return err
}

// ring has the guard look.
func (g *guard) ring() { _, _ = g.bell.Write([]byte{0}) }

// follow goes where the project was moved to: sources are found there, and somebody
// else's folder may be in the old place.
func (g *guard) follow() {
	if !g.env.InPlace() {
		g.env = g.env.Follow()
		g.box.env = g.env
	}
}

// read takes over what the last apply wants of this sandbox. If the note is of
// another one, this is the old one, and must stay as it is until that is final.
func (g *guard) read() error {
	var t filesystem.Tree
	ok, err := g.env.ReadNote(treeNote, &t)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		g.tree.Mounts = nil
	case t.Sandbox == g.tree.Sandbox:
		g.tree = t
	}
	return nil
}

// fail ends the sandbox, if it hasn't ended.
func (g *guard) fail(cause error) {
	if g.gone() {
		return
	}
	err := unix.PidfdSendSignal(int(g.init.Fd()), unix.SIGKILL, nil, 0)
	g.log.Error("the sandbox was ended, as what protects its files could not be put back", "cause", cause, "err", err,
		"fix", "mend what the cause names, then run blast apply")
}

// gone reports whether the sandbox has ended.
func (g *guard) gone() bool {
	fds := []unix.PollFd{{Fd: int32(g.init.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
