//go:build linux

package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// By is who holds an environment that a reserve stopped.
const By = "the reserve of a disk"

// fastest is what a sandbox may write in a second at most, in bytes: as much as a
// processor or two can copy into the page cache.
const fastest = 4 << 30

// Bounds of the time between two looks.
const (
	seldom = time.Second
	often  = 5 * time.Millisecond
)

// unwritten is more than the kernel leaves unwritten of a sandbox, as a rule, in bytes.
const unwritten = 8 << 30

// pending is what is still to be written. What goes into the layer is in memory twice
// before its image takes room for it, and goes on to be written while all stands still.
func pending(env state.Env) int64 {
	g, err := usage.Find(env)
	if err != nil {
		return 0 // nothing is counted
	}
	return g.Unwritten()
}

// actWithin bounds a freeze: a process that waits for a device can't be stopped before it
// has that. Then it is tried again.
const actWithin = 10 * time.Second

// A watch looks at the disks of one environment.
type watch struct {
	env     state.Env
	disks   []*disk
	log     *slog.Logger
	freezer kinds.Freezer
	cancel  context.CancelFunc
	done    sync.WaitGroup
	told    time.Time // when something that failed was logged last
}

// begin watches disks, which it closes in the end. It outlives ctx.
func begin(ctx context.Context, env state.Env, disks []*disk, log *slog.Logger, freezer kinds.Freezer) *watch {
	w := &watch{env: env, disks: disks, log: log, freezer: freezer}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() { w.run(ctx) })
	return w
}

func (w *watch) end() {
	w.cancel()
	w.done.Wait()
	closeAll(w.disks)
}

func (w *watch) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		t.Reset(w.look(ctx))
	}
}

// look looks at all disks, stops the environment if it has to, and says when to look next.
func (w *watch) look(ctx context.Context) time.Duration {
	next := seldom
	for _, d := range w.disks {
		is, err := d.look()
		if err != nil {
			w.warn("the room on a disk is not known", err)
			continue
		}
		if d.floor != d.whole && is.lack(d.whole) == "" { // what was let go on by force has room again
			d.floor = d.whole
			if err := DropFloors(w.env); err != nil {
				w.warn("what was let go on by force goes on", err)
			}
		}
		if is.free-d.floor.bytes < unwritten {
			is.free -= pending(w.env)
		}
		if lack := is.lack(d.floor); lack != "" {
			if w.env.Held() != nil {
				continue // nothing runs
			}
			if err := w.stop(ctx, d, lack); err != nil {
				w.warn("a sandbox that fills a disk goes on", err)
			}
		}
		next = min(next, pause(is.free-d.floor.bytes, d.floor.bytes))
	}
	return next
}

// pause is how long a disk may be left alone: no longer than the fastest writer needs for
// what there is above the reserve and half of that itself.
func pause(above, floor int64) time.Duration {
	seconds := (float64(max(above, 0)) + float64(floor)/2) / fastest
	if seconds >= seldom.Seconds() {
		return seldom
	}
	return max(time.Duration(seconds*float64(time.Second)), often)
}

// stop lets the environment stand still, if a command runs in it.
func (w *watch) stop(ctx context.Context, d *disk, lack string) error {
	boxes, runs, err := running(ctx, w.env) // while all goes on: some of it waits for a freeze to end
	if err != nil || !runs {
		return err
	}
	hold := state.Hold{By: By, Why: fmt.Sprintf("the disk of %s has %s", d.path, lack), Place: placeOf(w.env)}
	if err := w.env.Keep(hold); err != nil { // first: who finds it frozen shall know why
		return err
	}
	killed, err := w.freeze(ctx, d, boxes)
	if err != nil {
		return errors.Join(fmt.Errorf("freeze: %w", err), w.env.LetGo())
	}
	if killed {
		if err := w.env.Amend("; commands that could not be stopped in time were ended"); err != nil {
			return err
		}
	}
	w.log.Warn("commands stand still, as a disk of the host has too little room", "disk", d.path, "why", lack, "killed", killed)
	return nil
}

// freeze stops all that runs. A process that is in the middle of a large write(2) stops
// after that only: if it takes half of what is left meanwhile, commands are ended, which
// interrupts it.
func (w *watch) freeze(ctx context.Context, d *disk, boxes []*sandbox.Sandbox) (killed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, actWithin)
	defer cancel()
	before, err := d.look()
	if err != nil {
		return false, err
	}
	least := min(before.free, d.floor.bytes) / 2
	done := make(chan error, 1)
	go func() { done <- w.freezer.Freeze(ctx, w.env) }()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return killed, err
		case <-tick.C:
		}
		if is, err := d.look(); err != nil || is.free >= least {
			continue
		}
		for _, b := range boxes {
			if _, err := b.Signal(unix.SIGKILL); err != nil {
				w.warn("commands that fill a disk can't be ended", err)
			} else {
				killed = true
			}
		}
	}
}

// running are the sandboxes that are up, and whether anything but their inits runs.
func running(ctx context.Context, env state.Env) (boxes []*sandbox.Sandbox, commands bool, err error) {
	ids, err := sandbox.List(env)
	if err != nil {
		return nil, false, err
	}
	for _, id := range ids {
		s, err := sandbox.Load(ctx, env, id)
		if errors.Is(err, sandbox.ErrNotRunning) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		n, err := s.Signal(0)
		if err != nil {
			return nil, false, err
		}
		boxes, commands = append(boxes, s), commands || n > 0
	}
	return boxes, commands, nil
}

// placeOf is the line that says what stays free, or the block.
func placeOf(env state.Env) string {
	st, err := env.Load()
	if err != nil {
		return ""
	}
	for _, o := range st.Objects {
		if o.Addr == filesystem.TreeAddr {
			return plan.PlaceOf(o.Src, "reserve")
		}
	}
	return ""
}

// warn logs, but not each time.
func (w *watch) warn(what string, err error) {
	if now := time.Now(); now.Sub(w.told) > time.Minute {
		w.told = now
		w.log.Warn(what, "err", err)
	}
}
