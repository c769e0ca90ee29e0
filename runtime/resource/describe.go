package resource

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// Describe implements kinds.Words. More of something is wider, less narrower.
func (Words) Describe(c plan.Change) plan.Description {
	if c.Addr == RlimitsAddr {
		return describeRlimits(c)
	}
	var from, to Limits
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	d := plan.Description{Summary: to.summary()}
	if !hasTo {
		d.Summary = from.summary()
	}
	before, after := from.parts(hasFrom), to.parts(hasTo)
	for i, a := range after {
		b := before[i]
		if it, changed := limitItem(b, a, hasFrom, hasTo); changed {
			d.Items = append(d.Items, it)
		}
	}
	if hasTo && to.Memory != nil && to.Memory.High != nil {
		d.Notes = append(d.Notes, "memory.high without swap throttles to a near-hang instead of killing; memory.max alone ends what grows too large")
	}
	return d
}

// part is one number as a plan shows it.
type part struct {
	name  string
	text  string
	size  float64 // to compare; more allows more
	set   bool
	equal bool // neither more nor less access
}

func limitItem(b, a part, hasFrom, hasTo bool) (plan.Item, bool) {
	it := plan.Item{Name: a.name, Before: b.text, After: a.text}
	switch {
	case b.set == a.set && b.text == a.text:
		return it, false
	case b.set && a.set:
		it.Action = plan.Update
	case a.set:
		it.Action = plan.Create
	default:
		it.Action = plan.Delete
	}
	if hasFrom && hasTo && !a.equal {
		it.Access = direction(b, a)
	}
	if hasFrom && hasTo && !a.set {
		it.After = "unlimited"
	}
	return it, true
}

// direction compares two limits. No limit at all is the widest.
func direction(b, a part) plan.Access {
	switch {
	case !b.set:
		return plan.Narrow
	case !a.set || a.size > b.size:
		return plan.Widen
	case a.size < b.size:
		return plan.Narrow
	}
	return plan.Same
}

// parts are all limits in the order of the reference; of a missing side nothing
// is set.
func (l Limits) parts(there bool) []part {
	cpu, mem, io := l.CPU, l.Memory, l.IO
	if cpu == nil {
		cpu = &CPU{}
	}
	if mem == nil {
		mem = &Memory{}
	}
	if io == nil {
		io = &IO{}
	}
	ps := []part{
		{name: "cpu.quota", text: cpu.text(), size: cpu.cpus(), set: cpu.QuotaUS != nil},
		weighed("cpu.weight", cpu.Weight),
		sized("memory.max", mem.Max), sized("memory.high", mem.High), sized("memory.swap", mem.Swap),
		weighed("io.weight", io.Weight),
		rate("io.read_bps", io.ReadBPS), rate("io.write_bps", io.WriteBPS),
		count("io.read_iops", io.ReadIOPS, "/s"), count("io.write_iops", io.WriteIOPS, "/s"),
		count("pids.max", l.PIDs, ""),
	}
	for i := range ps {
		if ps[i].set = ps[i].set && there; !ps[i].set {
			ps[i].text = ""
		}
	}
	return ps
}

func (c *CPU) period() uint64 {
	if c.PeriodUS == nil || *c.PeriodUS == 0 {
		return uint64(defaultPeriod.Microseconds())
	}
	return *c.PeriodUS
}

func (c *CPU) cpus() float64 {
	if c.QuotaUS == nil {
		return 0
	}
	return float64(*c.QuotaUS) / float64(c.period())
}

// text is the CPUs, and the period where it is not the usual one.
func (c *CPU) text() string {
	if c.QuotaUS == nil {
		return ""
	}
	s := cpus(c.cpus())
	if rounded, err := strconv.ParseFloat(digits(c.cpus()), 64); err != nil || math.Round(rounded*float64(c.period())) != float64(*c.QuotaUS) {
		s = microseconds(*c.QuotaUS) + " per " + microseconds(int64(c.period())) // two that differ must not look the same
	} else if c.period() != uint64(defaultPeriod.Microseconds()) {
		s += " per " + microseconds(int64(c.period()))
	}
	return s
}

func microseconds(n int64) string { return block.FormatDuration(time.Duration(n) * time.Microsecond) }

func digits(n float64) string { return strconv.FormatFloat(n, 'g', 4, 64) }

func cpus(n float64) string {
	if s := digits(n); s != "1" {
		return s + " CPUs"
	}
	return "1 CPU"
}

// weighed is a share, which takes from others what it gives: no direction.
func weighed(name string, n *uint64) part {
	p := count(name, n, "")
	p.equal = true
	return p
}

func sized(name string, n *int64) part {
	if n == nil {
		return part{name: name}
	}
	return part{name: name, text: size(*n), size: float64(*n), set: true}
}

func size(n int64) string {
	if n == 0 {
		return "0"
	}
	return block.FormatSize(n)
}

func rate(name string, n *uint64) part {
	if n == nil {
		return part{name: name}
	}
	return part{name: name, text: block.FormatSize(int64(min(*n, 1<<62))) + "/s", size: float64(*n), set: true}
}

func count[T int64 | uint64](name string, n *T, unit string) part {
	if n == nil {
		return part{name: name}
	}
	return part{name: name, text: fmt.Sprint(*n) + unit, size: float64(*n), set: true}
}

// summary is "2 CPUs, 2 GiB, 512 processes".
func (l Limits) summary() string {
	var out []string
	if l.CPU != nil && l.CPU.QuotaUS != nil {
		out = append(out, cpus(l.CPU.cpus()))
	}
	if l.Memory != nil && l.Memory.Max != nil {
		out = append(out, size(*l.Memory.Max))
	}
	if l.PIDs != nil {
		out = append(out, fmt.Sprintf("%d processes", *l.PIDs))
	}
	if l.IO != nil {
		out = append(out, "I/O limited")
	}
	if len(out) == 0 {
		return "unlimited"
	}
	return strings.Join(out, ", ")
}

func describeRlimits(c plan.Change) plan.Description {
	var from, to Rlimits
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	var d plan.Description
	names := slices.Sorted(maps.Keys(from))
	names = append(names, slices.Sorted(maps.Keys(to))...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for _, side := range []string{"soft", "hard"} {
			it, changed := limitItem(rlimitPart(from, name, side), rlimitPart(to, name, side), hasFrom, hasTo)
			if changed {
				d.Items = append(d.Items, it)
			}
		}
	}
	return d
}

func rlimitPart(r Rlimits, name, side string) part {
	l, set := r[name]
	p := part{name: "rlimit." + name + "." + side, set: set}
	n := l.Soft
	if side == "hard" {
		n = l.Hard
	}
	if p.size = float64(n); set {
		p.text = strconv.FormatUint(n, 10)
		if n == unlimited {
			p.text = "unlimited"
		}
	}
	return p
}
