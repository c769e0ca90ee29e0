package resource

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is the resource block, as a person writes it.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return "resource" }

// Spec is the declaration of the resource block.
var Spec = block.Block{
	Name: "resource", Doc: "How much CPU, memory, I/O and how many processes the environment may use.",
	Blocks: []block.Block{
		{Name: "cpu", Doc: "Time of processors; max and quota are two ways to say the same.", Attrs: []block.Attr{
			{Name: "max", Kind: block.Number, Example: "0.5", Default: "2", Source: "cgroup v2, cpu.max", Doc: "Processors, as a number. The CPU time in each period, divided by the period, is at most this."},
			{Name: "quota", Kind: block.Duration, Example: `"50ms"`, Min: int64(minQuota), Default: "twice the period", Source: "cgroup v2, cpu.max", Doc: "CPU time in each period. Either max or quota."},
			{Name: "period", Kind: block.Duration, Example: `"100ms"`, Min: int64(minPeriod), Max: int64(maxPeriod), Default: `"100ms"`, Source: "cgroup v2, cpu.max", Doc: "How long a period is. A short one makes waits short, and costs time of the scheduler's own."},
			{Name: "weight", Kind: block.Int, Example: "100", Min: 1, Max: 10000, Default: "the kernel's, 100", Source: "cgroup v2, cpu.weight", Doc: "Share when processors are busy; others have 100."},
		}},
		{Name: "memory", Doc: "Memory of all processes together.", Attrs: []block.Attr{
			{Name: "max", Kind: block.Size, Example: `"512MiB"`, Min: minMemory, Default: `"2GiB"`, Source: "cgroup v2, memory.max", Doc: "Memory of all processes together, page cache included. What can't be reclaimed past it is killed."},
			{Name: "high", Kind: block.Size, Example: `"400MiB"`, Min: minMemory, Default: "none", Source: "cgroup v2, memory.high", Doc: "Past it the kernel throttles and reclaims, and kills nothing. At most max. Without swap it can slow everything down to a near-hang, so a plan warns."},
			{Name: "swap", Kind: block.Size, Example: `"0"`, Default: `"0"`, Source: "cgroup v2, memory.swap.max", Doc: "Swap alone, beside memory."},
		}},
		{Name: "io", Doc: "Reading and writing of block devices.", Attrs: []block.Attr{
			{Name: "weight", Kind: block.Int, Example: "100", Min: 1, Max: 10000, Default: "the kernel's, 100", Source: "cgroup v2, io.weight", Doc: "Share when the device is busy; others have 100."},
			{Name: "read_bps", Kind: block.Size, Example: `"50MiB"`, Min: 1, Default: "none", Source: "cgroup v2, io.max rbps", Doc: "Bytes that are read per second, on each device."},
			{Name: "write_bps", Kind: block.Size, Example: `"20MiB"`, Min: 1, Default: "none", Source: "cgroup v2, io.max wbps", Doc: "Bytes that are written per second, on each device."},
			{Name: "read_iops", Kind: block.Int, Example: "1000", Min: 1, Default: "none", Source: "cgroup v2, io.max riops", Doc: "Reads per second, on each device."},
			{Name: "write_iops", Kind: block.Int, Example: "1000", Min: 1, Default: "none", Source: "cgroup v2, io.max wiops", Doc: "Writes per second, on each device."},
		}},
		{Name: "pids", Doc: "Processes and threads.", Attrs: []block.Attr{
			{Name: "max", Kind: block.Int, Example: "128", Min: minPIDs, Max: 1 << 22, Default: "512", Source: "cgroup v2, pids.max", Doc: "Processes and threads at once, those of the sandbox's own init among them."},
		}},
		{Name: "rlimit", Label: "name", Doc: "A limit of getrlimit(2) for each command, by its name in lower case without RLIMIT_: " + strings.Join(limitNames, ", ") + ". Without a block the host's own limits hold.", Attrs: []block.Attr{
			{Name: "soft", Kind: block.Limit, Required: true, Example: "1024", Source: "getrlimit(2)", Doc: "What holds."},
			{Name: "hard", Kind: block.Limit, Example: "4096", Default: "soft", Source: "getrlimit(2)", Doc: "Up to which a command may raise it. Not below soft."},
		}},
	},
}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(nil, []block.Block{Spec}) }

// Decode implements config.Words. What nobody wrote has the defaults: every
// number is limited.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(nil, []block.Block{Spec})
	v := root.Block("resource")
	r := &reading{Values: v, src: block.Origins{"": s.Origin()}, diags: diags}
	v.Sources(r.src, "")
	limits := Limits{CPU: r.cpu(), Memory: r.memory(), IO: r.io(), PIDs: r.pids()}
	rlimits, rsrc := r.rlimits()
	rsrc[""] = r.src[""]
	return []plan.Object{
		r.src.Object(LimitsAddr, limits),
		rsrc.Object(RlimitsAddr, rlimits),
	}, r.diags
}
