// Package deadline is the host half of the ttl kind: it keeps since when an environment
// has a time to live, on disk, so that it outlives the machine's restart.
//
// The beginning is noted once. A change of the ttl moves the end, and the undo of that
// moves it back; only what is removed for good forgets it, in Commit.
package deadline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/ttl"
	"blast.example/blast/state"
	"blast.example/blast/state/backend/local"
)

// Host observes and applies ttl.deadline. The zero value is ready.
type Host struct{}

var (
	_ kinds.Host      = Host{}
	_ kinds.Committer = Host{}
	_ kinds.Keeper    = Host{}
	_ kinds.Expirer   = Host{}
)

// record is what is kept. Without a TTL the environment stays.
type record struct {
	Since time.Time     `json:"since"`
	TTL   time.Duration `json:"ttl,omitempty"`
}

func path(env state.Env) string { return filepath.Join(env.Dir, "ttl.json") }

func load(env state.Env) (r record, ok bool, err error) {
	b, err := local.Read(path(env))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read %s: %w", path(env), err)
	}
	return r, true, nil
}

// Observe returns the time to live that is kept.
func (Host) Observe(_ context.Context, env state.Env) ([]plan.Object, error) {
	r, ok, err := load(env)
	if err != nil || !ok || r.TTL == 0 {
		return nil, err
	}
	return []plan.Object{plan.NewObject(ttl.Addr, ttl.TTL{TTL: r.TTL}, nil)}, nil
}

// Knows implements apply.Knower.
func (Host) Knows(addr string) bool { return addr == ttl.Addr }

// Apply keeps c.To from the time at which there was one first.
func (Host) Apply(_ context.Context, env state.Env, c plan.Change) error {
	if c.Addr != ttl.Addr {
		return fmt.Errorf("%s: no such object", c.Addr)
	}
	var to ttl.TTL
	_, hasTo, err := c.Sides(&ttl.TTL{}, &to)
	if err != nil {
		return err
	}
	r, there, err := load(env)
	if err != nil {
		return err
	}
	if !hasTo && !there || there && r.TTL == to.TTL {
		return nil
	}
	if !there {
		r.Since = time.Now().UTC().Truncate(time.Second)
	}
	r.TTL = to.TTL
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := local.Replace(path(env), b); err != nil {
		return fmt.Errorf("keep time to live: %w", err)
	}
	return nil
}

// Commit forgets the beginning, too.
func (Host) Commit(_ context.Context, env state.Env, c plan.Change) error {
	if c.To != nil {
		return nil
	}
	if err := os.Remove(path(env)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget time to live: %w", err)
	}
	return nil
}

// Restore implements kinds.Keeper: all there is is on disk.
func (h Host) Restore(ctx context.Context, env state.Env, c plan.Change) error {
	return h.Apply(ctx, env, c)
}

// Expiry implements kinds.Expirer.
func (Host) Expiry(env state.Env) (time.Time, error) {
	r, ok, err := load(env)
	if err != nil || !ok || r.TTL == 0 {
		return time.Time{}, err
	}
	return r.Since.Add(r.TTL), nil
}
