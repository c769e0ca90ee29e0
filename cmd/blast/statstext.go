package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/state"
)

// paragraph is one environment for a person. What the host doesn't tell is left out.
func (m measured) paragraph() string {
	var b strings.Builder
	fmt.Fprintf(&b, "environment.%s  %s\n", m.Environment, m.state())
	if m.Held != nil {
		fmt.Fprintf(&b, "  %s\n", cell(m.Held.Tell(m.Environment)))
	}
	u := m.Usage
	if u == nil {
		return b.String()
	}
	row := func(name, text string) { fmt.Fprintf(&b, "  %-9s %s\n", name, text) }
	row("CPU", m.cpu())
	row("memory", m.memory())
	row("processes", fmt.Sprintf("%d%s%s", u.PIDs.Now, of(u.PIDs.Max, plainly), most(u.PIDs.Peak, plainly)))
	row("reads", flow(m.Rates.Read, u.IO.ReadMax, m.Rates.Reads, u.IO.ReadOps, u.IO.Read))
	row("writes", flow(m.Rates.Write, u.IO.WriteMax, m.Rates.Writes, u.IO.WriteOps, u.IO.Written))
	if m.Layer != nil {
		row("disk", fmt.Sprintf("%s of %s for what commands write outside of workspace and mounts", about(uint64(m.Layer.Used)), block.FormatSize(m.Layer.Max)))
	}
	for _, r := range m.Rooms {
		row("room", roomText(r))
	}
	if len(u.Pressure) > 0 {
		row("waiting", pressure(u.Pressure)+" of the last 10 s")
	}
	for _, limit := range slices.Sorted(maps.Keys(u.Reached)) {
		row("reached", reached(limit, u.Reached[limit]))
	}
	return b.String()
}

// roomText is one file system that commands can fill.
func roomText(r state.Room) string {
	kind := "for what commands write outside of workspace and mounts"
	switch {
	case r.Name != "size":
		kind = r.Path + ", in memory"
	case r.Memory:
		kind += ", in memory"
	}
	s := fmt.Sprintf("%s of %s, %d of %d inodes: %s", about(uint64(r.Used)), about(uint64(r.Max)), r.Inodes, r.Most, kind)
	if what := r.Full(); what != "" {
		s += "; no " + what + " left"
	}
	return s
}

func (m measured) state() string {
	switch {
	case !m.Up:
		return "down"
	case m.Held != nil:
		return "frozen"
	}
	return "up"
}

func (m measured) cpu() string {
	c := m.Usage.CPU
	s := fmt.Sprintf("%.2f", m.Rates.CPUs)
	if c.CPUs > 0 {
		s += fmt.Sprintf(" of %.4g CPUs, %.0f %%", c.CPUs, 100*m.Rates.CPUs/c.CPUs)
	}
	s += "; " + span(c.Time) + " in all"
	if c.Throttled > 0 {
		s += fmt.Sprintf(", throttled for %s; now in %.0f %% of the time", span(c.Waited), 100*m.Rates.Throttled)
	}
	return s
}

func (m measured) memory() string {
	mem := m.Usage.Memory
	s := about(mem.Now) + of(mem.Max, exactly) + most(mem.Peak, about)
	if mem.High > 0 {
		s += ", slowed down from " + exactly(mem.High)
	}
	if mem.Swap > 0 {
		s += ", and " + about(mem.Swap) + " swapped"
	}
	return s
}

// of is the limit of something; without one, nothing.
func of(n uint64, text func(uint64) string) string {
	if n == 0 {
		return ""
	}
	return " of " + text(n)
}

func most(n uint64, text func(uint64) string) string {
	if n == 0 {
		return ""
	}
	return ", at most " + text(n)
}

func plainly(n uint64) string { return fmt.Sprint(n) }
func exactly(n uint64) string { return block.FormatSize(int64(min(n, 1<<62))) }
func about(n uint64) string   { return block.FormatSize(roundSize(int64(min(n, 1<<62)))) }

// span is a time in µs.
func span(us uint64) string { return duration(time.Duration(min(us, 1<<52)) * time.Microsecond) }

// flow is traffic with devices, per second and in all.
func flow(bps float64, maxBPS uint64, ops float64, maxOps, total uint64) string {
	return fmt.Sprintf("%s/s%s, %.0f%s requests/s; %s in all", about(uint64(bps)), of(maxBPS, exactly), ops, of(maxOps, plainly), about(total))
}

func pressure(all map[string]state.Pressure) string {
	var parts []string
	for _, what := range []string{"cpu", "memory", "io"} {
		if p, ok := all[what]; ok {
			parts = append(parts, fmt.Sprintf("%s %.0f %%", what, p.Avg10))
		}
	}
	return strings.Join(parts, ", ")
}

// units are what is counted of each limit.
var units = map[string]string{
	"memory.max": "killed", "memory.high": "slowed down", "pids.max": "refused", "cpu.quota": "periods throttled",
	"io.read_bps": "s", "io.write_bps": "s", "io.read_iops": "s", "io.write_iops": "s",
}

func reached(limit string, r state.Reached) string {
	return fmt.Sprintf("%-13s %d %s, last %s", limit, r.Count, units[limit], r.Last.Local().Format("2006-01-02 15:04:05"))
}

// table is a row for each environment. Followed in a pipe, the head comes once.
func (s *statistics) table(ms []measured) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 8, 0, 2, ' ', 0)
	if !s.head || s.tty {
		fmt.Fprintln(w, "NAME\tID\tSTATE\tCPUS\tOF\tTHROTTLED\tMEMORY\tOF\tPROCESSES\tOF\tREAD/S\tWRITE/S\tDISK\tREACHED")
	}
	s.head = true
	for _, m := range ms {
		u := m.Usage
		if u == nil {
			u = &state.Usage{}
		}
		disk, counts := "-", []string{}
		if m.Layer != nil {
			disk = about(uint64(m.Layer.Used))
		}
		for _, limit := range slices.Sorted(maps.Keys(u.Reached)) {
			counts = append(counts, fmt.Sprintf("%s %d", limit, u.Reached[limit].Count))
		}
		if len(counts) == 0 {
			counts = []string{"-"}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\t%.4g\t%.0f %%\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", m.Environment, m.ID, m.state(), m.Rates.CPUs, u.CPU.CPUs, 100*m.Rates.Throttled,
			about(u.Memory.Now), about(u.Memory.Max), u.PIDs.Now, u.PIDs.Max, about(uint64(m.Rates.Read)), about(uint64(m.Rates.Write)), disk, strings.Join(counts, ", "))
	}
	_ = w.Flush() // into memory
	return b.String()
}
