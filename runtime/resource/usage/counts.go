package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Limits that the kernel counts, by the name that they have in a plan.
const (
	CPU        = "cpu.quota"
	MemoryMax  = "memory.max"
	MemoryHigh = "memory.high"
	PIDs       = "pids.max"

	periods = "periods" // of CPU, throttled or not
	waited  = "waited"  // for CPU, in µs
	stalled = "stalled" // for memory, in µs
)

// Counts are how often limits were reached, by limit and by the group that it was
// counted in. Groups come and go with sandboxes, and their counts with them.
type Counts map[string]uint64

// Count reads the counters of limits.
func (g Groups) Count() Counts {
	c := Counts{}
	text := read(g.CPU, "cpu.stat")
	c[CPU], c[periods] = field(text, "nr_throttled"), field(text, "nr_periods")
	c[waited] = field(text, "throttled_usec") + field(text, "throttled_time")/1000 // v2, v1
	if text := read(g.Memory, "memory.events"); text != "" {                       // of groups below, too
		c[MemoryMax], c[MemoryHigh] = field(text, "oom_kill"), field(text, "high")
		if text, ok := strings.CutPrefix(read(g.Memory, "memory.pressure"), "some "); ok {
			c[stalled] = psi(text).Total
		}
	} else {
		c.add(MemoryMax, g.Memory, "memory.oom_control", "oom_kill")
	}
	// Before Linux 6.11 a refusal is counted where the process is that forked, from then on
	// where the limit is: v2. The other place has 0.
	c.add(PIDs, g.PIDs, "pids.events", "max")
	return c
}

// add counts in a group and those right below it, where sandboxes are.
func (c Counts) add(limit, dir, file, name string) {
	if dir == "" {
		return
	}
	es, _ := os.ReadDir(dir)
	dirs := []string{dir}
	for _, e := range es {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	for _, d := range dirs {
		if n := field(read(d, file), name); n > 0 {
			c[limit+" "+identity(d)] = n
		}
	}
}

// identity tells a group from one that is made anew in its place.
func identity(dir string) string {
	fi, err := os.Lstat(dir)
	if err != nil {
		return filepath.Base(dir)
	}
	return fmt.Sprintf("%s:%d", filepath.Base(dir), fi.Sys().(*syscall.Stat_t).Ino) //nolint:forcetypeassert // what Lstat returns on Linux
}

// A Change is how often limits were reached between two Counts.
type Change struct {
	By      map[string]uint64 // by limit; only those that were
	Periods uint64            // of the CPU, all of them
	Waited  uint64            // for the CPU, in µs
	Stalled uint64            // for memory, in µs; only v2 with PSI tells
}

// Since compares with counts from before. What was counted in a group that is gone is
// not known any more.
func (c Counts) Since(before Counts) Change {
	ch := Change{By: map[string]uint64{}}
	for key, n := range c {
		if was := before[key]; was <= n {
			n -= was
		} // else the group was made anew, and it counts from 0
		limit, _, _ := strings.Cut(key, " ")
		switch {
		case limit == periods:
			ch.Periods = n
		case limit == waited:
			ch.Waited = n
		case limit == stalled:
			ch.Stalled = n
		case n > 0:
			ch.By[limit] += n
		}
	}
	return ch
}

// What makes a wait for the CPU worth a word: a part of all periods, and a time that a
// person notices, in µs.
const (
	throttledPart = 10 // one of so many
	longEnough    = 1_000_000
)

// Slowed reports whether the CPU's limit was a reason to wait for a person.
func (ch Change) Slowed() bool {
	return ch.By[CPU]*throttledPart > ch.Periods && ch.Waited >= longEnough
}

// Squeezed reports whether memory.high was. Without PSI nobody knows how long it took.
func (ch Change) Squeezed() bool { return ch.By[MemoryHigh] > 0 && ch.Stalled >= longEnough }
