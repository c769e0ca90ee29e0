package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/process"
	"blast.example/blast/state"
)

// scopeFlags say what a plan is about. blast plan and blast apply have the same.
type scopeFlags struct {
	Target      []string `sep:"none" placeholder:"ADDRESS" help:"Change only this object or kind, such as network, and what it needs. May be repeated."`
	Exclude     []string `sep:"none" placeholder:"ADDRESS" help:"Change everything but this object or kind, and what needs it. May be repeated."`
	Replace     []string `sep:"none" placeholder:"ADDRESS" help:"Make this object anew, though nothing about it changed: process.sandbox or packages.set."`
	RefreshOnly bool     `help:"Only record what others changed on this host; change nothing there."`
	Refresh     bool     `default:"true" negatable:"" help:"Look at the host; with --no-refresh or --refresh=false take the records for what is there."`
	Upgrade     bool     `help:"Take the newest packages that fit, not those of the lock."`
	Upgrades    []string `name:"upgrade-package" short:"P" sep:"none" placeholder:"NAME" help:"Take the newest of this package, and those of the lock of all others where they fit. May be repeated."`
	Destroy     bool     `help:"Plan what blast destroy would do."`
}

func (f scopeFlags) scope() plan.Scope {
	return plan.Scope{Targets: f.Target, Excluded: f.Exclude, Replaced: f.Replace, Blind: !f.Refresh}
}

func (f scopeFlags) upgrade() kinds.Upgrade { return upgradeOf(f.Upgrade, f.Upgrades) }

func upgradeOf(all bool, only []string) kinds.Upgrade {
	up := kinds.Upgrade{All: all}
	for _, name := range only {
		up.Only = append(up.Only, pep508.NormalizeName(name))
	}
	return up
}

func (f scopeFlags) mode() plan.Mode {
	switch {
	case f.Destroy:
		return plan.Destroy
	case f.RefreshOnly:
		return plan.RefreshOnly
	}
	return plan.Normal
}

// check refuses flags that mean different things.
func (f scopeFlags) check(u *ui) error {
	switch {
	case f.Destroy && f.RefreshOnly:
		return u.misused("--destroy and --refresh-only are two different plans: choose one")
	case f.RefreshOnly && !f.Refresh:
		return u.misused("--refresh-only records what is on the host, and --refresh=false doesn't look: choose one")
	case f.RefreshOnly && len(f.Replace) > 0:
		return u.misused("--refresh-only changes nothing on the host, and --replace does: choose one")
	case f.Destroy && (len(f.Replace) > 0 || f.upgrade().Any()):
		return u.misused("--destroy makes nothing anew: leave out --replace, --upgrade and --upgrade-package")
	}
	for _, a := range f.Replace {
		if !slices.Contains(replaceable, a) {
			return u.misused("--replace %s: only %s and %s can be made anew; everything else is set in place, and a plan mends it where it differs", a, replaceable[0], replaceable[1])
		}
	}
	return nil
}

// replaceable are the objects of which a new one can be made beside an equal one.
var replaceable = []string{"process.sandbox", "packages.set"}

// A planning makes one plan.
type planning struct {
	u    *ui
	c    *client.Client
	env  state.Env
	p    *project // nil where blast.hcl doesn't matter: destroy, refresh-only, rollback
	mode plan.Mode
	of   string // the generation of a rollback, or the snapshot of a load
	wait time.Duration

	scope   plan.Scope
	upgrade kinds.Upgrade
	settled []plan.Object // of a saved plan
	command string        // "blast plan"
}

// planned is a plan with what it was made from.
type planned struct {
	plan.Plan
	look wire.LookResult
}

// make does the left half of Blast: evaluated blocks, resolved and linked, against
// what was recorded and what is there. Nothing is changed, except that what a
// dead apply left is finished or taken back first.
func (m *planning) make(ctx context.Context) (*planned, error) {
	look, err := m.look(ctx, wire.LookParams{Records: true})
	if err != nil {
		return nil, err
	}
	desired, lock, err := m.desired(ctx, look)
	if err != nil {
		return nil, err
	}
	if look, err = m.lookFor(ctx, desired, look); err != nil {
		return nil, err
	}
	recorded := look.Recorded
	if ps := slices.DeleteFunc(slices.Clone(look.Problems), func(p plan.Problem) bool { return p.Note }); len(ps) > 0 {
		return nil, &configError{problems(ps, desired), m.sources()}
	}
	if m.mode == plan.RefreshOnly {
		desired = asFound(look)
	}
	if m.mode == plan.Destroy {
		recorded = assumed(look)
	}
	out := plan.Diff(desired, recorded, words.Order(look.Observed), words.Describe)
	out.Env, out.Lineage, out.Serial, out.Scope = m.env.Name, look.Lineage, look.Serial, m.scope
	if m.mode == plan.RefreshOnly {
		out.Steps = nil // of what is gone, too, the host is left as it is
	}
	out.For(m.mode, m.of)
	out.Tell(look.Witnessed)
	out.Noted(look.Problems)
	if m.upgrade.Any() {
		out.Upgraded()
	}
	out.Basis, out.Keep = m.basis(lock), look.Keep
	if m.p != nil && m.mode != plan.Load {
		out.Keep = m.p.file.Generations
	}
	if out, err = out.Within(look.Recorded); err != nil {
		return nil, err
	}
	return &planned{Plan: out, look: look}, nil
}

// lookFor asks about what is desired, and says only what the daemon doesn't know from
// the records of the look before. If they are others by now it asks again.
func (m *planning) lookFor(ctx context.Context, desired []plan.Object, before wire.LookResult) (wire.LookResult, error) {
	p := wire.LookParams{Check: m.mode != plan.Destroy, Blind: m.scope.Blind, Lineage: before.Lineage, Serial: before.Serial}
	look, err := m.look(ctx, p.Desire(desired, before.Recorded))
	if err == nil && !look.Known && look.Busy == nil && before.Serial != 0 {
		p.Lineage, p.Serial = "", 0
		look, err = m.look(ctx, p.Desire(desired, nil))
	}
	return look.Whole(before.Recorded), err
}

// look asks the daemon. While another command changes the environment, a plan is made
// from the last committed generation; an apply could only fail.
func (m *planning) look(ctx context.Context, p wire.LookParams) (wire.LookResult, error) {
	p.Env, p.Caller = m.env, wire.Caller{Command: m.command, PID: os.Getpid(), Wait: m.wait}
	var look wire.LookResult
	if err := m.c.Call(ctx, wire.Look, p, &look, m.u.event); err != nil {
		return look, err
	}
	if look.Busy != nil && !p.Records {
		m.u.say("Note: %v changes this environment right now: compared with generation %d, not with the host.", look.Busy, look.Serial)
		m.u.diagnose(view.Diagnostic{
			Severity: "warning", Summary: "Another command changes this environment",
			Detail: fmt.Sprintf("The plan is compared with generation %d, and not with the host.", look.Serial),
		})
	}
	return look, nil
}

// desired are the objects that shall be, and a digest of the lock that they were made from.
func (m *planning) desired(ctx context.Context, look wire.LookResult) (objs []plan.Object, lock string, err error) {
	switch m.mode {
	case plan.Destroy, plan.RefreshOnly:
		return nil, "", nil
	case plan.Rollback:
		objs, err := m.generation()
		return filesystem.KeepLayer(process.KeepHashes(objs, look.Recorded), look.Recorded), "", err
	case plan.Load:
		return m.snapshot(ctx, look)
	}
	in := kinds.ResolveInput{Recorded: look.Recorded, Upgrade: m.upgrade, Settled: m.settled, Lock: func(b []byte) {
		if len(b) > 0 {
			lock = plan.DigestOf(b)
		}
	}}
	objs, err = m.u.settle(ctx, m.p, in, m.scope.Replaced)
	return objs, lock, err
}

func (m *planning) basis(lock string) plan.Basis {
	var b plan.Basis
	if m.p != nil {
		b = m.p.file.Basis
	}
	b.Lock, b.Host = lock, hostinfo.Identity()
	return b
}

// asFound is what the host has, told as it was recorded.
func asFound(look wire.LookResult) []plan.Object {
	was := map[string]plan.Object{}
	for _, o := range look.Recorded {
		was[o.Addr] = o
	}
	var out []plan.Object
	for _, o := range words.Order(look.Observed) {
		if old, known := was[o.Addr]; known {
			old.Attrs = o.Attrs
			o = old
		}
		out = append(out, o)
	}
	return out
}

// again makes a saved plan once more, of blast.hcl and the host as they are, with
// the packages that were settled then. Only if it comes out the same is it carried
// out: the file may lie where code in the sandbox could write to it.
func (m *planning) again(ctx context.Context, name string, saved plan.Plan) (*planned, error) {
	host := hostinfo.Identity()
	if was := saved.Basis.Host[plan.Machine]; was != host[plan.Machine] {
		return nil, fmt.Errorf("%s was made on another machine (%s, and this is %s): a plan is for the machine that it was made on; plan here", name, was, host[plan.Machine])
	}
	m.mode, m.of, m.scope = saved.Mode, saved.Of, saved.Scope
	m.settled = append([]plan.Object{}, saved.Desired...)
	now, err := m.make(ctx)
	if err != nil {
		var conf *configError
		if errors.As(err, &conf) && m.p != nil { // what moved may be why
			if moved := saved.Moved(plan.Plan{Lineage: saved.Lineage, Serial: saved.Serial, Basis: m.basis(saved.Basis.Lock)}); len(moved) > 0 {
				m.u.say("blast: %v", stale(name, moved))
			}
		}
		return nil, err
	}
	if moved := saved.Moved(now.Plan); len(moved) > 0 {
		return nil, stale(name, moved)
	}
	if !now.Same(saved) {
		return nil, fmt.Errorf("%s is not what would be done now: somebody changed this host (see blast status) or the file since: plan again", name)
	}
	return now, nil
}

// stale says what moved since a plan was saved.
func stale(name string, moved []string) error {
	text := fmt.Sprintf("%s is stale, and nothing was changed: plan again. It was made from something else:\n  %s", name, strings.Join(moved, "\n  "))
	if slices.ContainsFunc(moved, func(m string) bool { return strings.HasPrefix(m, "variable: ") }) {
		text += "\nIf it is only that: a saved plan holds no values, so give apply the same --var, --var-file and BLAST_VAR_NAME as plan."
	}
	return errors.New(text)
}
