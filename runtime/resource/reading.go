package resource

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/config/nearest"
)

// What holds where nothing is written.
const (
	defaultCPUs   = 2
	defaultPeriod = 100 * time.Millisecond
	defaultMemory = 2 << 30
	defaultSwap   = 0
	defaultPIDs   = 512
)

// Bounds of the kernel's, and below which nothing can start.
const (
	minPeriod = time.Millisecond // cpu.max, cpu.cfs_period_us
	maxPeriod = time.Second
	minQuota  = time.Millisecond
	minMemory = 4 << 20
	minPIDs   = 32 // threads of the sandbox's init and of what makes it, and a command
	maxCPUs   = 8192
)

// reading makes limits of a decoded resource block.
type reading struct {
	*block.Values
	src   block.Origins
	diags hcl.Diagnostics
}

func (r *reading) report(d *hcl.Diagnostic) { r.diags = append(r.diags, d) }

func ptr[T any](v T) *T { return &v }

func (r *reading) cpu() *CPU {
	v := r.Block("cpu")
	v.Sources(r.src, "cpu")
	period, ok := v.Duration("period")
	if !ok {
		period = defaultPeriod
	}
	quota := time.Duration(defaultCPUs) * period
	if q, ok := v.Duration("quota"); ok {
		if quota = q; q/maxCPUs > period {
			r.report(block.Errorf(v.At("quota"), "Value out of range", "cpu.quota is %s in each period of %s, which is more than %d CPUs. Write for example \"50ms\".", block.FormatDuration(q), block.FormatDuration(period), maxCPUs))
		}
	}
	if cpus, ok := v.Number("max"); ok {
		quota = r.quotaOf(v, cpus, period)
		r.src["cpu.quota"] = r.src["cpu.max"] // plan and host name the kernel's setting
	}
	if v.Wrote("max") && v.Wrote("quota") {
		r.report(block.Errorf(v.At("quota"), "Two ways to say the same", "cpu.max and cpu.quota both say how much CPU time there is. Remove one of them."))
	}
	c := &CPU{QuotaUS: ptr(quota.Microseconds()), PeriodUS: ptr(uint64(period.Microseconds()))}
	if w, ok := v.Int("weight"); ok {
		c.Weight = ptr(uint64(w))
	}
	return c
}

func (r *reading) quotaOf(v *block.Values, cpus float64, period time.Duration) time.Duration {
	quota := time.Duration(math.Round(cpus*float64(period.Microseconds()))) * time.Microsecond
	if math.IsNaN(cpus) || cpus > maxCPUs || quota < minQuota {
		r.report(block.Errorf(v.At("max"), "Value out of range", "cpu.max must be from %g to %d CPUs with a period of %s. Write for example 0.5.", float64(minQuota)/float64(period), maxCPUs, block.FormatDuration(period)))
		return minQuota
	}
	return quota
}

func (r *reading) memory() *Memory {
	v := r.Block("memory")
	v.Sources(r.src, "memory")
	m := &Memory{Max: ptr[int64](defaultMemory), Swap: ptr[int64](defaultSwap)}
	if n, ok := v.Int("max"); ok {
		m.Max = &n
	}
	if n, ok := v.Int("swap"); ok {
		m.Swap = &n
	}
	if n, ok := v.Int("high"); ok {
		m.High = &n
		if n > *m.Max {
			r.report(block.Errorf(v.At("high"), "Soft limit above the hard one", "memory.high is %s and memory.max is %s: the kernel would kill before it throttles. Write a high below max.", block.FormatSize(n), block.FormatSize(*m.Max)))
		}
	}
	return m
}

func (r *reading) io() *IO {
	v := r.Block("io")
	if v == nil {
		return nil
	}
	v.Sources(r.src, "io")
	io := &IO{}
	for name, to := range map[string]**uint64{
		"weight": &io.Weight, "read_bps": &io.ReadBPS, "write_bps": &io.WriteBPS, "read_iops": &io.ReadIOPS, "write_iops": &io.WriteIOPS,
	} {
		if n, ok := v.Int(name); ok {
			*to = ptr(uint64(n))
		}
	}
	if *io == (IO{}) {
		return nil
	}
	return io
}

func (r *reading) pids() *int64 {
	v := r.Block("pids")
	v.Sources(r.src, "pids")
	if n, ok := v.Int("max"); ok {
		return &n
	}
	return ptr[int64](defaultPIDs)
}

// limitNames are the limits of getrlimit(2).
var limitNames = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
	"rss", "rtprio", "rttime", "sigpending", "stack",
}

// near suggests the limit that a name was probably meant to be.
func near(name string) string {
	lower := strings.TrimPrefix(strings.ToLower(name), "rlimit_")
	if slices.Contains(limitNames, lower) {
		return fmt.Sprintf(" Write %q.", lower)
	}
	return nearest.Hint(lower, limitNames)
}

func (r *reading) rlimits() (Rlimits, block.Origins) {
	out, src := Rlimits{}, block.Origins{}
	for _, v := range r.Blocks("rlimit") {
		v.Sources(src, "rlimit."+v.Label)
		if !slices.Contains(limitNames, v.Label) {
			r.report(block.Errorf(v.LabelRange, "Unknown rlimit", "getrlimit(2) has no limit %q; names are in lower case without RLIMIT_.%s", v.Label, near(v.Label)))
			continue
		}
		soft, ok := v.Bound("soft")
		if !ok {
			continue // reported
		}
		hard, ok := v.Bound("hard")
		if !ok {
			hard = soft
		}
		l := Rlimit{Soft: number(soft), Hard: number(hard)}
		if l.Soft > l.Hard {
			r.report(block.Errorf(v.At("soft"), "Soft limit above the hard one", "rlimit %q has a soft limit above its hard one, which setrlimit(2) refuses. Raise hard or lower soft.", v.Label))
			continue
		}
		out[v.Label] = l
	}
	return out, src
}

const unlimited = ^uint64(0) // RLIM_INFINITY

func number(b block.Bound) uint64 {
	if b.Unlimited {
		return unlimited
	}
	return b.N
}
