//go:build linux

// Package host is the half of the process kind that touches the machine: it
// keeps one sandbox per set of attributes and says which of them commands go to.
//
// A sandbox is named by the digest of its attributes, so that the one that is
// wanted stands beside the one that is there until the change is final:
//
//	Apply  A → B    B is made, A stays, and commands go there
//	Apply  B → A    A never stopped
//	Commit … → A    commands go to A, and all others end
//
// So there are two notes of it, one of what is applied and one that commands
// follow; the first is there only until it is final. What commands start with is
// kept in the same way. All else is read back from the kernel.
package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/sitehook"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Host observes and applies process.sandbox and process.environment.
type Host struct {
	init string // path of blast-init
}

// New returns the host half of the process kind. init is the path of the
// blast-init program.
func New(init string) *Host { return &Host{init: init} }

// Observe returns the sandbox that was applied last, if it runs and is what was
// made, and the environment that commands start with in it.
func (h *Host) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	var objs []plan.Object
	attrs, err := observeSandbox(ctx, env)
	if err != nil {
		return nil, err
	}
	if attrs != nil {
		objs = append(objs, plan.Object{Addr: process.SandboxAddr, Attrs: attrs})
	}
	var d command.Defaults
	ok, err := environmentNote.read(env, &d)
	if err != nil {
		return nil, err
	}
	if ok {
		objs = append(objs, plan.NewObject(process.EnvironmentAddr, process.Environment{Vars: d.Vars, Dir: d.Dir, Secrets: d.Secrets}, nil))
	}
	return objs, nil
}

// observeSandbox returns the attributes of the running sandbox; nil if there is
// none, or none that is as it was made.
func observeSandbox(ctx context.Context, env state.Env) (json.RawMessage, error) {
	var d destination
	if ok, err := socketNote.read(env, &d); !ok || err != nil {
		return nil, err
	}
	id := sandbox.IDOfSocket(d.Socket)
	attrs, ok, err := readAttrs(env, id)
	if !ok || err != nil {
		return nil, err
	}
	var want process.Sandbox
	if err := json.Unmarshal(attrs, &want); err != nil || d != destinationOf(env, id, want) {
		return nil, nil //nolint:nilerr // a note that nobody of us wrote describes no sandbox
	}
	s, err := sandbox.Load(ctx, env, id)
	if errors.Is(err, sandbox.ErrNotRunning) && ctx.Err() == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("observe sandbox %s: %w", id, err)
	}
	if err := s.Matches(want.UID, want.GID, want.Capabilities, want.Hostname); err != nil {
		return nil, nil //nolint:nilerr // what runs is another one: absent
	}
	return attrs, nil
}

// Knows implements apply.Knower.
func (*Host) Knows(addr string) bool {
	return addr == process.EnvironmentAddr || addr == process.SandboxAddr
}

// Apply takes one of the two objects from c.From to c.To.
func (h *Host) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	switch c.Addr {
	case process.EnvironmentAddr:
		return applyEnvironment(env, c)
	case process.SandboxAddr:
		return h.applySandbox(ctx, env, c)
	}
	return fmt.Errorf("%s: no such object", c.Addr)
}

func applyEnvironment(env state.Env, c plan.Change) error {
	if c.To == nil {
		return environmentNote.drop(env)
	}
	d, err := defaultsOf(c)
	if err != nil {
		return err
	}
	return environmentNote.apply(env, d)
}

// defaultsOf is what commands start with in c.To.
func defaultsOf(c plan.Change) (command.Defaults, error) {
	var to process.Environment
	_, _, err := c.Sides(&process.Environment{}, &to)
	return command.Defaults{Vars: to.Vars, Dir: to.Dir, Secrets: to.Secrets}, err
}

// applySandbox makes c.To run. With no To, commands go nowhere, as limits and rules
// are about to go; the sandbox itself ends in Commit: an undo wants it back as it is.
func (h *Host) applySandbox(ctx context.Context, env state.Env, c plan.Change) error {
	if c.To == nil {
		if err := socketNote.drop(env); err != nil {
			return err
		}
		return destroyAllBut(ctx, env, digest(c.From))
	}
	var to process.Sandbox
	if _, _, err := c.Sides(&process.Sandbox{}, &to); err != nil {
		return err
	}
	id := digest(c.To)
	if err := h.ensure(ctx, env, id, c.To, to); err != nil {
		return err
	}
	return socketNote.apply(env, destinationOf(env, id, to))
}

// ensure makes sandbox id run. What is left of one that died is cleared first.
func (h *Host) ensure(ctx context.Context, env state.Env, id string, attrs json.RawMessage, to process.Sandbox) error {
	s, err := sandbox.Load(ctx, env, id)
	if err == nil && s.Matches(to.UID, to.GID, to.Capabilities, to.Hostname) == nil {
		return writeAttrs(env, id, attrs)
	}
	if err := closeTo(env, id); err != nil {
		return err
	}
	if err := destroy(ctx, env, id); err != nil {
		return err
	}
	ids, err := sandbox.ClaimIDs(env)
	if err != nil {
		return err
	}
	folder, err := packagesFolder(env)
	if err != nil {
		return err
	}
	shown, err := sitehook.Install(ctx, env)
	if err != nil {
		return err
	}
	// The note first: what is half-made must be found.
	if err := writeAttrs(env, id, attrs); err != nil {
		return err
	}
	_, err = sandbox.Create(ctx, sandbox.Spec{
		Env: env, ID: id, NetNS: filepath.Join(env.Run, netPin),
		Base: to.Base, Packages: folder, Inside: shown, Hostname: to.Hostname,
		IDs: ids, User: to.User, UID: to.UID, GID: to.GID,
		Capabilities: to.Capabilities, Seccomp: to.Seccomp, Init: h.init,
	})
	return err
}

// netPin is where the network kind keeps the environment's namespace.
const netPin = "net"

// packagesFolder is the folder below which generations of packages come and go,
// seen at sandbox.PackagesDir. It must be there before the sandbox, as a mount shows
// a folder and not a name. A link could show any folder of the host.
func packagesFolder(env state.Env) (string, error) {
	dir := filepath.Join(env.Dir, packagesDir)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make packages folder: %w", err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("find packages folder: %w", err)
	}
	if real != dir {
		return "", fmt.Errorf("packages folder %s is a link to %s", dir, real)
	}
	return dir, nil
}

const packagesDir = "packages"

// Commit lets commands follow what was applied. Then it ends every sandbox but the
// one of c.To, and forgets them.
func (h *Host) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	if c.Addr != process.SandboxAddr {
		return commitEnvironment(env, c)
	}
	if err := commitSandbox(env, c); err != nil {
		return err
	}
	if err := destroyAllBut(ctx, env, digest(c.To)); err != nil {
		return err
	}
	if err := dropDrafts(env); err != nil {
		return err
	}
	if c.To != nil {
		return nil
	}
	_ = os.Remove(filepath.Join(env.Dir, packagesDir)) // only if nothing was ever installed
	return errors.Join(sitehook.Remove(env), sandbox.ReleaseIDs(env))
}

func commitEnvironment(env state.Env, c plan.Change) error {
	if c.To == nil {
		return environmentNote.drop(env)
	}
	d, err := defaultsOf(c)
	if err != nil {
		return err
	}
	return environmentNote.commit(env, d)
}

func commitSandbox(env state.Env, c plan.Change) error {
	if c.To == nil {
		return socketNote.drop(env)
	}
	var to process.Sandbox
	if _, _, err := c.Sides(&process.Sandbox{}, &to); err != nil {
		return err
	}
	return socketNote.commit(env, destinationOf(env, digest(c.To), to))
}

func digest(attrs json.RawMessage) string {
	if attrs == nil {
		return ""
	}
	return plan.Digest(attrs)
}

// Phase implements kinds.Phaser.
func (*Host) Phase() string { return "configuring namespaces" }
