package state

import "time"

// Vitals are what an environment is and takes right now.
type Vitals struct {
	PID    int       `json:"pid,omitempty"`    // of its PID 1, as the host counts; 0 if none runs
	Since  time.Time `json:"started,omitzero"` // of PID 1
	Memory int64     `json:"memory,omitempty"` // bytes that the kernel counts for all of it
	Held   *Hold     `json:"held,omitempty"`   // it stands still, and why
	Usage  *Usage    `json:"usage,omitempty"`  // nil where nothing is limited
	Layer  *Space    `json:"layer,omitempty"`  // the writable layer; nil without one
	Rooms  []Room    `json:"rooms,omitempty"`  // what commands can fill of the sandbox's own
}

// Usage is what the kernel counts for an environment's processes together, beside its
// limits. A limit of 0 is none; what the host doesn't tell is 0, too.
type Usage struct {
	Time   time.Time `json:"time"` // when it was read
	CPU    CPUUsage  `json:"cpu"`
	Memory Memory    `json:"memory"`
	PIDs   PIDs      `json:"pids"`
	IO     IO        `json:"io"`

	// Pressure is how long processes waited for a resource, "cpu", "memory" or "io":
	// https://docs.kernel.org/accounting/psi.html. Nothing where the kernel has no PSI.
	Pressure map[string]Pressure `json:"pressure,omitempty"`
	// Reached are the limits that were reached since the environment is up, by name:
	// "memory.max".
	Reached map[string]Reached `json:"reached,omitempty"`
	// Hits are the last times that one was.
	Hits []Hit `json:"hits,omitempty"`
}

// CPUUsage is time of processors, in microseconds since the environment is up.
type CPUUsage struct {
	Time      uint64  `json:"time_us"`
	CPUs      float64 `json:"cpus"` // the limit, in processors
	Periods   uint64  `json:"periods"`
	Throttled uint64  `json:"throttled_periods"`
	Waited    uint64  `json:"throttled_us"`
}

// Memory is in bytes.
type Memory struct {
	Now  uint64 `json:"now"`
	Peak uint64 `json:"peak"`
	Max  uint64 `json:"max"`
	High uint64 `json:"high,omitempty"`
	Swap uint64 `json:"swap"`
}

// PIDs are processes and threads, those of the sandbox's init among them.
type PIDs struct {
	Now  uint64 `json:"now"`
	Peak uint64 `json:"peak"`
	Max  uint64 `json:"max"`
}

// IO is what went to and from block devices since the environment is up, in bytes and
// requests, and the limits per second on each device.
type IO struct {
	Read     uint64 `json:"read"`
	Written  uint64 `json:"written"`
	Reads    uint64 `json:"reads"`
	Writes   uint64 `json:"writes"`
	ReadMax  uint64 `json:"read_bps,omitempty"`
	WriteMax uint64 `json:"write_bps,omitempty"`
	ReadOps  uint64 `json:"read_iops,omitempty"`
	WriteOps uint64 `json:"write_iops,omitempty"`
}

// Pressure is of some processes: at least one waited.
type Pressure struct {
	Avg10 float64 `json:"avg10"` // percent of the last ten seconds
	Total uint64  `json:"total_us"`
}

// Reached is how often a limit was reached.
type Reached struct {
	Count  uint64    `json:"count"`               // processes killed, refused or slowed down; periods of the CPU; seconds of I/O
	Waited uint64    `json:"waited_us,omitempty"` // by processes, for the CPU
	Last   time.Time `json:"last"`                // when it was noticed last
}

// A Hit is that a limit was reached, once or several times in a row.
type Hit struct {
	From    time.Time `json:"from"`  // when the first time was noticed
	Time    time.Time `json:"time"`  // when the last one was
	Limit   string    `json:"limit"` // as in Usage.Reached
	Count   uint64    `json:"count"`
	Waited  uint64    `json:"waited_us,omitempty"`
	Peak    uint64    `json:"peak,omitempty"` // of what is limited, in its unit
	Victims []Victim  `json:"victims,omitempty"`
}

// A Victim is a process that the kernel ended for want of memory. It chose its name.
type Victim struct {
	HostPID int    `json:"host_pid,omitempty"` // as the host counts; 0 is not known
	UID     uint32 `json:"uid"`                // on the host
	Command string `json:"command"`
}

// A Room is a file system of a sandbox's own, which has bounds.
type Room struct {
	Name   string `json:"name"` // of the item in a plan: "size" is the writable layer's
	Path   string `json:"path"` // in the sandbox
	Used   int64  `json:"used"` // bytes
	Max    int64  `json:"max"`
	Inodes int64  `json:"inodes"` // files and folders
	Most   int64  `json:"inodes_max"`
	Memory bool   `json:"memory,omitempty"` // what is in it counts as memory
}

// Full says of what a room has no more, "bytes" or "inodes"; "" is nothing. The last
// hundredth of the bytes counts as none.
func (r Room) Full() string {
	switch {
	case r.Max > 0 && r.Max-r.Used < max(r.Max/100, 1):
		return "bytes"
	case r.Most > 0 && r.Inodes >= r.Most:
		return "inodes"
	}
	return ""
}

// Space is room on a disk, in bytes.
type Space struct {
	Used int64 `json:"used"`
	Max  int64 `json:"max"`
}
