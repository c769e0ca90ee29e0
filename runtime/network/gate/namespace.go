package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/state"
)

// ResolvConf is what a sandbox's /etc/resolv.conf should hold. Any server will
// do, as every packet to port 53 ends at the gate; a search list would not, as
// each name that is tried gets an answer.
const ResolvConf = "nameserver 10.0.2.100\n"

// pinPath is where the namespace is found: bind mount of nsfs. A container
// joins it by this path, before it makes its own user namespace.
func pinPath(env state.Env) string { return filepath.Join(env.Run, "net") }

// keptPath is where a deleted namespace waits for Commit, so that an undo
// brings back the same one, with the processes that are in it.
func keptPath(env state.Env) string { return filepath.Join(env.Run, "net.old") }

func (h *Host) applyNamespace(env state.Env, c plan.Change) error {
	if c.To == nil {
		return h.deleteNamespace(env)
	}
	if err := os.MkdirAll(env.Run, 0o700); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	ns, err := openOrMake(env)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	if err := netns.Plumb(ns); err != nil {
		return fmt.Errorf("set up network namespace: %w", err)
	}
	return nil
}

// openOrMake opens the pinned namespace, brings back the kept one, or makes a
// new one.
func openOrMake(env state.Env) (*os.File, error) {
	ns, err := netns.Open(pinPath(env))
	if !errors.Is(err, netns.ErrNone) {
		return ns, err
	}
	if err := netns.Unpin(pinPath(env)); err != nil { // whatever else is there
		return nil, err
	}
	kept, err := netns.Open(keptPath(env))
	switch {
	case err == nil:
		_ = kept.Close()
		err = netns.Move(keptPath(env), pinPath(env))
	case errors.Is(err, netns.ErrNone):
		err = netns.Create(pinPath(env))
	}
	if err != nil {
		return nil, err
	}
	return netns.Open(pinPath(env))
}

func (h *Host) deleteNamespace(env state.Env) error {
	h.end(env)
	ns, err := netns.Open(pinPath(env))
	if errors.Is(err, netns.ErrNone) {
		return netns.Unpin(pinPath(env))
	}
	if err != nil {
		return err
	}
	_ = ns.Close()
	if err := netns.Unpin(keptPath(env)); err != nil {
		return err
	}
	return netns.Move(pinPath(env), keptPath(env))
}
