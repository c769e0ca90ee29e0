package probe

import (
	"context"
	"errors"
	"fmt"
	"os"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/state"
)

// cgroups lets the resource kind itself make, read back and remove a group, and
// asks it which limits it could not enforce.
func cgroups(ctx context.Context, dir string) hostinfo.Cgroups {
	var c hostinfo.Cgroups
	mode, err := cgroup.Mode()
	if err != nil {
		c.Limits = hostinfo.Try(err)
		return c
	}
	c.Mode = mode
	run, err := os.MkdirTemp("", "blast-doctor-")
	if err != nil {
		c.Limits = hostinfo.Try(err)
		return c
	}
	defer func() { _ = os.RemoveAll(run) }()
	env := state.NewEnv(dir, "doctor", 0, 0)
	env.Run = run
	env.Cgroup = fmt.Sprintf("/blast-doctor-%d/%s", os.Getpid(), env.ID)
	c.Limits = hostinfo.Try(tryLimits(ctx, env))
	c.Lacking, err = lacking(ctx, env)
	if c.Limits.State == hostinfo.Works && err != nil {
		c.Limits = hostinfo.Try(err)
	}
	return c
}

func ptr[T any](v T) *T { return &v }

// basic are the limits without which no sandbox is started.
var basic = resource.Limits{
	CPU:    &resource.CPU{QuotaUS: ptr[int64](50_000)},
	Memory: &resource.Memory{Max: ptr[int64](64 << 20)},
	PIDs:   ptr[int64](64),
}

func tryLimits(ctx context.Context, env state.Env) (err error) {
	var host cgroup.Host
	wish := plan.NewObject(resource.LimitsAddr, basic, nil)
	c := plan.Change{Addr: wish.Addr, To: wish.Attrs}
	defer func() { err = errors.Join(err, host.Commit(context.WithoutCancel(ctx), env, c.Reverse())) }()
	if err := host.Apply(ctx, env, c); err != nil {
		return err
	}
	seen, err := host.Observe(ctx, env)
	if err != nil {
		return err
	}
	if len(seen) != 1 || string(seen[0].Attrs) != string(wish.Attrs) {
		return errors.New("a cgroup's limits read otherwise than they were written")
	}
	return nil
}

// lacking asks for every limit that can be written, small enough for any machine.
func lacking(ctx context.Context, env state.Env) (map[string]string, error) {
	all := basic
	all.CPU = &resource.CPU{QuotaUS: ptr[int64](50_000), PeriodUS: ptr[uint64](100_000), Weight: ptr[uint64](100)}
	all.Memory = &resource.Memory{Max: ptr[int64](64 << 20), High: ptr[int64](64 << 20), Swap: ptr[int64](0)}
	all.IO = &resource.IO{
		Weight: ptr[uint64](100), ReadBPS: ptr[uint64](1 << 20), WriteBPS: ptr[uint64](1 << 20),
		ReadIOPS: ptr[uint64](100), WriteIOPS: ptr[uint64](100),
	}
	found, err := cgroup.Host{}.Check(ctx, env, []plan.Object{plan.NewObject(resource.LimitsAddr, all, nil)})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	out := map[string]string{}
	for _, p := range found {
		out[p.Item] = p.Reason
	}
	return out, nil
}
