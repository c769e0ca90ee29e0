package usage

import (
	"strconv"
	"strings"
	"time"

	"blast.example/blast/state"
)

// Read is what the environment takes right now. The limits are left to who sets them.
func (g Groups) Read() state.Usage {
	u := state.Usage{Time: time.Now().UTC(), Pressure: g.pressure()}
	stat := read(g.CPU, "cpu.stat")
	u.CPU = state.CPUUsage{
		Time:    field(read(g.Account, "cpu.stat"), "usage_usec"),
		Periods: field(stat, "nr_periods"), Throttled: field(stat, "nr_throttled"),
		Waited: field(stat, "throttled_usec") + field(stat, "throttled_time")/1000,
	}
	if u.CPU.Time == 0 {
		u.CPU.Time = number(g.Account, "cpuacct.usage") / 1000
	}
	u.Memory = state.Memory{
		Now:  first(g.Memory, "memory.current", "memory.usage_in_bytes"),
		Peak: first(g.Memory, "memory.peak", "memory.max_usage_in_bytes"),
		Swap: number(g.Memory, "memory.swap.current"),
	}
	if all := number(g.Memory, "memory.memsw.usage_in_bytes"); all > u.Memory.Now { // of v1: memory and swap
		u.Memory.Swap = all - u.Memory.Now
	}
	u.PIDs = state.PIDs{Now: number(g.PIDs, "pids.current"), Peak: number(g.PIDs, "pids.peak")}
	u.IO = g.io()
	return u
}

// Unwritten is what processes have written to files and the kernel not yet to disks, in
// bytes: a file system that lies in a file takes room on the disk below only then.
func (g Groups) Unwritten() int64 {
	text := read(g.Memory, "memory.stat")
	n := field(text, "file_dirty") + field(text, "file_writeback") // v2
	if n == 0 {
		n = field(text, "total_dirty") + field(text, "total_writeback")
	}
	return int64(min(n, 1<<62))
}

// Peak is the most that there was of what a limit limits, in its unit; 0 is not known.
func Peak(u state.Usage, limit string) uint64 {
	switch limit {
	case MemoryMax, MemoryHigh:
		return u.Memory.Peak
	case PIDs:
		return u.PIDs.Peak
	}
	return 0
}

// loop is the number of loop devices: what goes through one goes to its disk, too, and
// is counted there (https://docs.kernel.org/admin-guide/devices.html).
const loop = "7:"

func (g Groups) io() (u state.IO) {
	if text := read(g.IO, "io.stat"); text != "" { // "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
		for line := range strings.Lines(text) {
			dev, rest, _ := strings.Cut(line, " ")
			if strings.HasPrefix(dev, loop) {
				continue
			}
			for pair := range strings.FieldsSeq(rest) {
				key, value, _ := strings.Cut(pair, "=")
				add(&u, map[string]string{"rbytes": "Read", "wbytes": "Write", "rios": "Reads", "wios": "Writes"}[key], value)
			}
		}
		return u
	}
	for file, suffix := range map[string]string{"blkio.throttle.io_service_bytes_recursive": "", "blkio.throttle.io_serviced_recursive": "s"} {
		for line := range strings.Lines(read(g.IO, file)) { // "8:0 Read 4096"
			f := strings.Fields(line)
			if len(f) == 3 && !strings.HasPrefix(f[0], loop) {
				add(&u, f[1]+suffix, f[2])
			}
		}
	}
	return u
}

func add(u *state.IO, what, value string) {
	n, _ := strconv.ParseUint(value, 10, 64)
	switch what {
	case "Read":
		u.Read += n
	case "Write":
		u.Written += n
	case "Reads":
		u.Reads += n
	case "Writes":
		u.Writes += n
	}
}

// pressure reads lines of "some avg10=0.12 avg60=0.00 avg300=0.00 total=1234".
func (g Groups) pressure() map[string]state.Pressure {
	var all map[string]state.Pressure
	for _, what := range []string{"cpu", "memory", "io"} {
		line, _, _ := strings.Cut(read(g.Pressure, what+".pressure"), "\n")
		rest, ok := strings.CutPrefix(line, "some ")
		if !ok {
			continue
		}
		if all == nil {
			all = map[string]state.Pressure{}
		}
		all[what] = psi(rest)
	}
	return all
}

func psi(line string) (p state.Pressure) {
	line, _, _ = strings.Cut(line, "\n")
	for pair := range strings.FieldsSeq(line) {
		switch key, value, _ := strings.Cut(pair, "="); key {
		case "avg10":
			p.Avg10, _ = strconv.ParseFloat(value, 64)
		case "total":
			p.Total, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	return p
}
