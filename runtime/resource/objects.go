// Package resource is the resource block: how much CPU, memory, I/O and how many
// processes an environment may use, and the rlimits of each command.
//
// Units are bytes, microseconds and the kernel's own; see
// https://docs.kernel.org/admin-guide/cgroup-v2.html and getrlimit(2).
package resource

import "blast.example/blast/runtime/resource/rlimit"

// Addresses of the objects of this kind.
const (
	LimitsAddr  = "resource.limits"
	RlimitsAddr = "resource.rlimits"
)

// Limits are the attributes of resource.limits: one cgroup that all of an
// environment's processes live in. A nil field is not limited.
type Limits struct {
	CPU    *CPU    `json:"cpu,omitempty"`
	Memory *Memory `json:"memory,omitempty"`
	IO     *IO     `json:"io,omitempty"`
	PIDs   *int64  `json:"pids,omitempty"` // processes and threads, pids.max
}

// CPU is cpu.max and cpu.weight.
type CPU struct {
	QuotaUS  *int64  `json:"quota_us,omitempty"` // CPU time per period
	PeriodUS *uint64 `json:"period_us,omitempty"`
	Weight   *uint64 `json:"weight,omitempty"` // 1..10000, the kernel's default is 100
}

// Memory is memory.max, memory.high and memory.swap.max, in bytes.
type Memory struct {
	Max  *int64 `json:"max,omitempty"`
	High *int64 `json:"high,omitempty"`
	Swap *int64 `json:"swap,omitempty"` // swap alone, as in v2; 0 is none
}

// IO is io.weight and io.max. The bandwidths hold for every block device that
// backs what the sandbox can write.
type IO struct {
	Weight    *uint64 `json:"weight,omitempty"` // 1..10000
	ReadBPS   *uint64 `json:"read_bps,omitempty"`
	WriteBPS  *uint64 `json:"write_bps,omitempty"`
	ReadIOPS  *uint64 `json:"read_iops,omitempty"`
	WriteIOPS *uint64 `json:"write_iops,omitempty"`
}

// Rlimits are the attributes of resource.rlimits.
type Rlimits = rlimit.Limits

// Rlimit is one pair of limits.
type Rlimit = rlimit.Limit
