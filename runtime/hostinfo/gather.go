package hostinfo

import (
	"context"
	"slices"
	"sync"
	"time"
)

// within bounds one probe. A probe hangs if the kernel does, and then the rest
// is still worth knowing.
const within = 10 * time.Second

// Probes are all questions to the host. A nil one is not asked. Each may run
// beside the others; it returns facts and changes nothing that outlives it. dir
// is the project folder, whose disk will hold the state.
type Probes struct {
	System     func(ctx context.Context) System
	Namespaces func(ctx context.Context) Outcome
	SubIDs     func(ctx context.Context) SubIDs
	Mounts     func(ctx context.Context, dir string) Mounts
	Firewall   func(ctx context.Context) Firewall
	Cgroups    func(ctx context.Context, dir string) Cgroups
	Fanotify   func(ctx context.Context) Outcome
	Landlock   func(ctx context.Context) int
	Seccomp    func(ctx context.Context) Outcome
	Loop       func(ctx context.Context, dir string) Outcome
	Python     func(ctx context.Context) []Python
	Disk       func(ctx context.Context, dir string) Disk
}

// Gather asks everything at once and returns what was answered in time.
func Gather(ctx context.Context, dir string, p Probes) Facts {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	g := gathering{ctx: ctx}
	ask(&g, "system", p.System, func(f *Facts, v System) { f.System = v })
	ask(&g, "namespaces", p.Namespaces, func(f *Facts, v Outcome) { f.Namespaces = v })
	ask(&g, "sub ids", p.SubIDs, func(f *Facts, v SubIDs) { f.SubIDs = v })
	ask(&g, "mounts", at(dir, p.Mounts), func(f *Facts, v Mounts) { f.Mounts = v })
	ask(&g, "firewall", p.Firewall, func(f *Facts, v Firewall) { f.Firewall = v })
	ask(&g, "cgroups", at(dir, p.Cgroups), func(f *Facts, v Cgroups) { f.Cgroups = v })
	ask(&g, "fanotify", p.Fanotify, func(f *Facts, v Outcome) { f.Fanotify = v })
	ask(&g, "landlock", p.Landlock, func(f *Facts, v int) { f.Landlock = v })
	ask(&g, "seccomp", p.Seccomp, func(f *Facts, v Outcome) { f.Seccomp = v })
	ask(&g, "loop", at(dir, p.Loop), func(f *Facts, v Outcome) { f.Loop = v })
	ask(&g, "python", p.Python, func(f *Facts, v []Python) { f.Python = v })
	ask(&g, "disk", at(dir, p.Disk), func(f *Facts, v Disk) { f.Disk = v })
	g.waiting.Wait()
	slices.Sort(g.facts.Unfinished)
	return g.facts
}

type gathering struct {
	ctx     context.Context
	waiting sync.WaitGroup
	mu      sync.Mutex
	facts   Facts
}

// ask runs one probe. One that does not return in time is left behind with what
// it finds.
func ask[T any](g *gathering, name string, probe func(context.Context) T, keep func(*Facts, T)) {
	if probe == nil {
		return
	}
	answer := make(chan T, 1)
	go func() { answer <- probe(g.ctx) }()
	g.waiting.Go(func() {
		var keepIt func(*Facts)
		select {
		case v := <-answer:
			keepIt = func(f *Facts) { keep(f, v) }
		case <-g.ctx.Done():
			keepIt = func(f *Facts) { f.Unfinished = append(f.Unfinished, name) }
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		keepIt(&g.facts)
	})
}

// at fixes the folder of a probe.
func at[T any](dir string, probe func(context.Context, string) T) func(context.Context) T {
	if probe == nil {
		return nil
	}
	return func(ctx context.Context) T { return probe(ctx, dir) }
}
