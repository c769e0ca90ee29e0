// Command blastd, of the crash suite, is the daemon with one difference: it kills
// itself with SIGKILL before or after the nth thing that it does to the host.
// BLAST_CRASH says when: "3:before". It is built beside the real blast under the
// name of the daemon; the real one has no such hook.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

func main() {
	sandbox.Init()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	all, err := hosts.All(log)
	if err != nil {
		log.Error("can't start", "err", err)
		os.Exit(1)
	}
	if when := os.Getenv("BLAST_CRASH"); when != "" {
		c := &crasher{}
		if _, err := fmt.Sscanf(strings.ReplaceAll(when, ":", " "), "%d %s", &c.at, &c.when); err != nil {
			log.Error("BLAST_CRASH", "err", err)
			os.Exit(1)
		}
		for name, h := range all {
			all[name] = c.wrap(h)
		}
	}
	s := &daemon.Server{Engine: daemon.NewEngine(all, log), Version: "crash", Log: log}
	os.Exit(s.Main())
}

// crasher counts every Apply and Commit of all kinds.
type crasher struct {
	n    atomic.Int64
	at   int64
	when string
}

func (c *crasher) around(work func() error) error {
	hit := c.n.Add(1) == c.at
	if hit && c.when == "before" {
		die()
	}
	err := work()
	if hit {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // until the signal arrives
}

// wrap keeps each optional interface of the kind.
func (c *crasher) wrap(h kinds.Host) kinds.Host {
	_, commits := h.(kinds.Committer)
	_, watches := h.(kinds.Watcher)
	f := faulty{h, c}
	switch {
	case commits && watches:
		return struct {
			faulty
			faultyCommit
			kinds.Watcher
		}{f, faultyCommit{h.(kinds.Committer), c}, h.(kinds.Watcher)}
	case commits:
		return struct {
			faulty
			faultyCommit
		}{f, faultyCommit{h.(kinds.Committer), c}}
	case watches:
		return struct {
			faulty
			kinds.Watcher
		}{f, h.(kinds.Watcher)}
	}
	return f
}

type faulty struct {
	host kinds.Host
	c    *crasher
}

func (f faulty) Observe(ctx context.Context, env state.Env) ([]plan.Object, error) {
	return f.host.Observe(ctx, env)
}

func (f faulty) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	return f.c.around(func() error { return f.host.Apply(ctx, env, c) })
}

type faultyCommit struct {
	host kinds.Committer
	c    *crasher
}

func (f faultyCommit) Commit(ctx context.Context, env state.Env, c plan.Change) error {
	return f.c.around(func() error { return f.host.Commit(ctx, env, c) })
}

// Prune and Gate are passed on where the kind has them, or data would stay and no check
// run.
func (f faulty) Prune(ctx context.Context, env state.Env) error {
	if p, ok := f.host.(interface {
		Prune(ctx context.Context, env state.Env) error
	}); ok {
		return p.Prune(ctx, env)
	}
	return nil
}

func (f faulty) Gate(ctx context.Context, env state.Env, desired []plan.Object) error {
	if g, ok := f.host.(kinds.Gater); ok {
		return g.Gate(ctx, env, desired)
	}
	return nil
}
