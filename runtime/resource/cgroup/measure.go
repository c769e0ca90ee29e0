package cgroup

import (
	"context"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

var _ kinds.Measurer = Host{}

// Measure implements kinds.Measurer: what the kernel counts for the environment's group,
// the limits on it, and how often they were reached.
func (x Host) Measure(ctx context.Context, env state.Env, v *state.Vitals) error {
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	u := groupsOf(hs, env.Cgroup).Read()
	v.Memory = int64(u.Memory.Now)
	var l resource.Limits
	ok, err := env.ReadNote(limitsNote, &l)
	if err != nil || !ok {
		return err
	}
	w, err := flatten(l)
	if err != nil {
		return err
	}
	w.limit(&u)
	if err := x.Flush(ctx, env); err != nil {
		return err
	}
	r, _, err := usage.LoadRecord(env)
	u.Reached, u.Hits, v.Usage = r.Reached, r.Hits, &u
	return err
}

// limit fills in what is not to be exceeded.
func (w wishes) limit(u *state.Usage) {
	if q, ok := w[cpuQuota]; ok {
		period := w[cpuPeriod]
		if period == 0 {
			period = defaultPeriodUS
		}
		u.CPU.CPUs = float64(q) / float64(period)
	}
	u.Memory.Max, u.Memory.High, u.PIDs.Max = w[memoryMax], w[memoryHigh], w[pidsMax]
	u.IO.ReadMax, u.IO.WriteMax, u.IO.ReadOps, u.IO.WriteOps = w[ioReadBPS], w[ioWriteBPS], w[ioReadIOPS], w[ioWriteIOPS]
}
