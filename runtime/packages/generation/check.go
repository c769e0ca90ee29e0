//go:build linux

package generation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/state"
)

// Check returns a problem if the interpreter is no longer what packages were
// chosen for, the cache is not safe to install from, or the lock file can't be
// written.
func (h *Host) Check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, packages.SetAddr, func(set packages.Set) ([]kinds.Problem, error) { return h.check(ctx, env, set) })
}

func (h *Host) check(ctx context.Context, env state.Env, set packages.Set) ([]kinds.Problem, error) {
	var ps []kinds.Problem
	problem := func(item, reason, fix string) {
		ps = append(ps, kinds.Problem{Addr: packages.SetAddr, Item: item, Reason: reason, Fix: fix})
	}
	if err := h.checkInterpreter(ctx, set.Python); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		problem("python.version", err.Error(), "Run the command again: it takes the Python that is there now. Without one, install python3.")
	}
	var unsafe *unsafeError
	err := private(h.cacheDir)
	switch {
	case errors.As(err, &unsafe):
		problem("", unsafe.Error(), unsafe.fix())
	case err != nil:
		return nil, err
	}
	p, err := openProject(env)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.root.Close() }()
	reason, fix, err := p.problem(set)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		problem("python.lock", reason, fix)
	}
	return ps, nil
}

// interpreters remembers what interpreters answered: the same file gives the same
// answer, and asking takes some 30 ms. An update replaces the file.
type interpreters struct {
	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	is  identity
	got packages.Interpreter
}

// identity tells one version of a file from another.
type identity struct {
	dev, ino           uint64
	size, mtime, ctime int64
}

func (i *interpreters) ask(ctx context.Context, path string) (packages.Interpreter, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return packages.Interpreter{}, err
	}
	st := fi.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // what Stat returns on Linux
	is := identity{st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
	i.mu.Lock()
	defer i.mu.Unlock()
	if a, ok := i.answers[path]; ok && a.is == is {
		return a.got, nil
	}
	f, err := interpreter.At(ctx, path)
	if err != nil {
		return packages.Interpreter{}, err
	}
	if i.answers == nil {
		i.answers = map[string]answer{}
	}
	i.answers[path] = answer{is, f.Interpreter}
	return f.Interpreter, nil
}

// checkInterpreter makes sure that the packages were chosen for the Python that is
// there.
func (h *Host) checkInterpreter(ctx context.Context, want packages.Interpreter) error {
	is, err := h.asked.ask(ctx, want.Path)
	switch {
	case err != nil:
		return fmt.Errorf("python %s can't be used: %w", want.Version, err)
	case is.Version != want.Version:
		return fmt.Errorf("%s is Python %s now, and packages were chosen for %s", want.Path, is.Version, want.Version)
	case is.Tags != want.Tags:
		return fmt.Errorf("%s now takes other wheels than those that were chosen: its platform or C library changed", want.Path)
	}
	return nil
}
