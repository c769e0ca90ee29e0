package resource

import (
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
			{Name: "max", Kind: block.Number, Example: "0.5", Doc: "CPUs. Default 2."},
			{Name: "quota", Kind: block.Duration, Example: `"50ms"`, Min: int64(minQuota), Doc: "CPU time in each period."},
			{Name: "period", Kind: block.Duration, Example: `"100ms"`, Min: int64(minPeriod), Max: int64(maxPeriod), Doc: "Default 100ms."},
			{Name: "weight", Kind: block.Int, Example: "100", Min: 1, Max: 10000, Doc: "Share when processors are busy; others have 100."},
		}},
		{Name: "memory", Doc: "Memory of all processes together.", Attrs: []block.Attr{
			{Name: "max", Kind: block.Size, Example: `"512MiB"`, Min: minMemory, Doc: "Past it the kernel kills. Default 2GiB."},
			{Name: "high", Kind: block.Size, Example: `"400MiB"`, Min: minMemory, Doc: "Past it the kernel throttles and reclaims."},
			{Name: "swap", Kind: block.Size, Example: `"0"`, Doc: "Swap alone. Default 0."},
		}},
		{Name: "io", Doc: "Reading and writing of block devices.", Attrs: []block.Attr{
			{Name: "weight", Kind: block.Int, Example: "100", Min: 1, Max: 10000, Doc: "Share when the device is busy; others have 100."},
			{Name: "read_bps", Kind: block.Size, Example: `"50MiB"`, Min: 1, Doc: "Bytes per second."},
			{Name: "write_bps", Kind: block.Size, Example: `"20MiB"`, Min: 1, Doc: "Bytes per second."},
			{Name: "read_iops", Kind: block.Int, Example: "1000", Min: 1, Doc: "Operations per second."},
			{Name: "write_iops", Kind: block.Int, Example: "1000", Min: 1, Doc: "Operations per second."},
		}},
		{Name: "pids", Doc: "Processes and threads.", Attrs: []block.Attr{
			{Name: "max", Kind: block.Int, Example: "128", Min: 1, Max: 1 << 22, Doc: "At once. Default 512."},
		}},
		{Name: "rlimit", Label: "name", Doc: "A limit of getrlimit(2) for each command, by its name in lower case without RLIMIT_.", Attrs: []block.Attr{
			{Name: "soft", Kind: block.Limit, Required: true, Example: "1024", Doc: "What holds."},
			{Name: "hard", Kind: block.Limit, Example: "4096", Doc: "Up to which a command may raise it. Default: soft."},
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
	r := &reading{Values: v, src: map[string]string{"": s.Place()}, diags: diags}
	v.Sources(r.src, "")
	limits := Limits{CPU: r.cpu(), Memory: r.memory(), IO: r.io(), PIDs: r.pids()}
	rlimits, rsrc := r.rlimits()
	rsrc[""] = r.src[""]
	return []plan.Object{
		plan.NewObject(LimitsAddr, limits, r.src),
		plan.NewObject(RlimitsAddr, rlimits, rsrc),
	}, r.diags
}
