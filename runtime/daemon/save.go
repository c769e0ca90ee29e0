package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
	"blast.example/blast/state/snapshot/layer"
)

// frozenNote is there while the commands of an environment may stand still, from
// before the first one does. Whoever finds it lets them go on: a daemon that died
// left it.
const frozenNote = "frozen"

// Save makes a snapshot of an environment. Commands stand still while their files
// are copied, and go on while the copy is packed; no apply runs meanwhile.
func (e *Engine) Save(ctx context.Context, p wire.SaveParams, tell func(wire.Event)) (wire.SaveResult, error) {
	var none wire.SaveResult
	var r snapshot.Record
	if err := json.Unmarshal(p.Record, &r); err != nil {
		return none, fmt.Errorf("save: %w", err)
	}
	if err := snapshot.CheckName(p.Name); err != nil {
		return none, err
	}
	w, err := snapshot.Write(p.Env.Project)
	if err != nil {
		return none, err
	}
	defer func() { _ = w.Close() }()
	if _, err := w.Find(p.Name); !p.Replace && !errors.Is(err, snapshot.ErrNone) {
		return none, errors.Join(fmt.Errorf("%w: %q: choose another name, or add --replace", snapshot.ErrThere, p.Name), err)
	}
	c, res, err := e.copied(ctx, p, r, tell)
	if err != nil {
		return none, err
	}
	defer func() { _ = c.Close() }()
	err = res.store(ctx, w, p, r, c, tell)
	return wire.SaveResult(*res), err
}

// copied takes the copy, under the environment's lock.
func (e *Engine) copied(ctx context.Context, p wire.SaveParams, r snapshot.Record, tell func(wire.Event)) (kinds.Copy, *saving, error) {
	k := e.copier()
	if k == nil {
		return nil, nil, errors.New("save: no kind has files to keep")
	}
	release, err := e.acquire(ctx, p.Env, p.Caller, tell)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	if _, err := e.recoverLocked(ctx, p.Env, tell); err != nil {
		return nil, nil, err
	}
	st, err := p.Env.Load()
	if err != nil {
		return nil, nil, err
	}
	if r.Serial != st.Serial || r.Lineage != st.Lineage || st.Serial == 0 {
		return nil, nil, &wire.Error{Code: wire.CodeStale, Message: fmt.Sprintf("the state is at serial %d, and serial %d was to be saved: try again", st.Serial, r.Serial)}
	}
	if err := k.Ready(ctx, p.Env); err != nil {
		return nil, nil, fmt.Errorf("save: %w", err)
	}
	e.enter(p.Env, state.Snapshotting, "")
	defer e.over(p.Env)
	return e.still(ctx, k, p, tell)
}

func (e *Engine) copier() kinds.Copier {
	for _, h := range e.hosts {
		if k, ok := h.(kinds.Copier); ok {
			return k
		}
	}
	return nil
}

// still takes the copy while nothing runs. Whatever becomes of it, all goes on when
// it returns; if this process dies, when the next one starts.
func (e *Engine) still(ctx context.Context, k kinds.Copier, p wire.SaveParams, tell func(wire.Event)) (c kinds.Copy, res *saving, err error) {
	tell(wire.Event{Phase: "progress", Message: "commands stand still while their files are copied"})
	begun := time.Now()
	if err := e.freeze(ctx, p.Env, p.Within, func(ctx context.Context) (err error) {
		c, err = k.Copy(ctx, p.Env)
		return err
	}); err != nil {
		if c != nil {
			_ = c.Close()
		}
		return nil, nil, err
	}
	res = &saving{Frozen: time.Since(begun)}
	res.Shared, res.Copied = c.Shared()
	return c, res, nil
}

// freeze runs work while nothing runs in the environment.
func (e *Engine) freeze(ctx context.Context, env state.Env, within time.Duration, work func(context.Context) error) (err error) {
	short, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if _, err := os.Lstat(env.Run); err == nil { // else nothing can be there to be frozen
		if err := env.WriteNote(frozenNote, os.Getpid()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.thaw(context.WithoutCancel(ctx), env)) }()
		for name, h := range e.hosts {
			if f, ok := h.(kinds.Freezer); ok {
				if err := f.Freeze(short, env); err != nil {
					return tooLong(ctx, within, fmt.Errorf("hold %s still: %w", name, err))
				}
			}
		}
	}
	return tooLong(ctx, within, work(short))
}

// tooLong says what to do about a freeze that took too long.
func tooLong(ctx context.Context, within time.Duration, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w; commands went on after %s and nothing was done: try again while they do less, or allow more with --freeze-timeout", err, within)
	}
	return err
}

// thaw lets all go on that may stand still.
func (e *Engine) thaw(ctx context.Context, env state.Env) error {
	var errs []error
	for name, h := range e.hosts {
		if t, ok := h.(kinds.Thawer); ok {
			if err := t.Thaw(ctx, env); err != nil {
				errs = append(errs, fmt.Errorf("let %s go on: %w", name, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err // the note stays, for the next command to try
	}
	return env.DropNote(frozenNote)
}

// frozen reports whether there may be something for thawLeft to do.
func frozen(env state.Env) bool {
	_, err := os.Lstat(filepath.Join(env.Run, frozenNote+".json"))
	return err == nil
}

// thawLeft ends a freeze that a dead process left, or one that a failing disk kept from
// its end.
func (e *Engine) thawLeft(ctx context.Context, env state.Env) error {
	var pid int
	if ok, err := env.ReadNote(frozenNote, &pid); !ok && err == nil {
		return nil
	}
	e.log.Warn("commands stood still, as a daemon died while it saved", "env", env.ID, "pid", pid)
	return e.thaw(ctx, env)
}

// saving becomes the answer.
type saving wire.SaveResult

// store packs the copy into the store.
func (s *saving) store(ctx context.Context, w *snapshot.Writer, p wire.SaveParams, r snapshot.Record, c kinds.Copy, tell func(wire.Event)) error {
	d, err := w.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	l, st, err := d.Pack(func(out io.Writer) (layer.Stats, error) {
		return c.Pack(ctx, out, func(n int64) {
			tell(wire.Event{Phase: "progress", Message: fmt.Sprintf("packing the writable layer, %d MiB", n>>20)})
		})
	})
	if err != nil {
		return err
	}
	one, err := w.Put(p.Name, r, d, l, p.Replace)
	if err != nil {
		return err
	}
	s.Digest, s.Size, s.Bytes, s.Entries, s.Sockets = one.Digest.String(), one.Layer.Size, st.Bytes, st.Entries, st.Sockets
	return nil
}
