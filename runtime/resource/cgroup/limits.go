package cgroup

import (
	"fmt"

	"blast.example/blast/runtime/resource"
)

// An item is one limit, by the name it has in blast.hcl and in a plan.
type item string

const (
	cpuQuota    item = "cpu.quota"  // µs of CPU time per period
	cpuPeriod   item = "cpu.period" // µs
	cpuWeight   item = "cpu.weight" // 1..10000
	memoryMax   item = "memory.max" // bytes
	memoryHigh  item = "memory.high"
	memorySwap  item = "memory.swap" // bytes of swap alone
	ioWeight    item = "io.weight"   // 1..10000
	ioReadBPS   item = "io.read_bps" // bytes per second
	ioWriteBPS  item = "io.write_bps"
	ioReadIOPS  item = "io.read_iops"
	ioWriteIOPS item = "io.write_iops"
	pidsMax     item = "pids.max"
)

// items are all limits, in the order of blast.hcl.
var items = []item{
	cpuQuota, cpuPeriod, cpuWeight, memoryMax, memoryHigh, memorySwap,
	ioWeight, ioReadBPS, ioWriteBPS, ioReadIOPS, ioWriteIOPS, pidsMax,
}

// wishes are limits by item. What is missing is not limited, or has the
// kernel's default weight or period.
type wishes map[item]uint64

// is reports whether both hold the same limit, or none, for it.
func (w wishes) is(other wishes, it item) bool {
	a, okA := w[it]
	b, okB := other[it]
	return okA == okB && a == b
}

// drop removes items with the value that stands for "as if not written".
func (w wishes) drop(it item, value uint64) {
	if w[it] == value {
		delete(w, it)
	}
}

// only returns a copy of w that holds no more than these items.
func (w wishes) only(its ...item) wishes {
	out := wishes{}
	for _, it := range its {
		if v, ok := w[it]; ok {
			out[it] = v
		}
	}
	return out
}

// flatten turns attributes into wishes.
func flatten(l resource.Limits) (wishes, error) {
	w := wishes{}
	for _, it := range items {
		s := slotOf(&l, it, false)
		switch {
		case s.signed != nil && *s.signed != nil:
			if **s.signed < 0 {
				return nil, fmt.Errorf("%s is negative: %d", it, **s.signed)
			}
			w[it] = uint64(**s.signed)
		case s.unsigned != nil && *s.unsigned != nil:
			w[it] = **s.unsigned
		}
	}
	return w, nil
}

// put sets one item of l to what w holds for it.
func put(l *resource.Limits, it item, w wishes) {
	v, ok := w[it]
	s := slotOf(l, it, ok)
	switch {
	case s.signed != nil && ok:
		n := int64(min(v, 1<<63-1))
		*s.signed = &n
	case s.unsigned != nil && ok:
		*s.unsigned = &v
	case s.signed != nil:
		*s.signed = nil
	case s.unsigned != nil:
		*s.unsigned = nil
	}
}

// slot is where an item lives in the attributes; both nil if its block is missing.
type slot struct {
	signed   **int64
	unsigned **uint64
}

// slotOf finds the slot of it in l, and makes the block around it if asked to.
func slotOf(l *resource.Limits, it item, create bool) slot {
	switch it {
	case cpuQuota, cpuPeriod, cpuWeight:
		if l.CPU == nil && create {
			l.CPU = &resource.CPU{}
		}
		return cpuSlot(l.CPU, it)
	case memoryMax, memoryHigh, memorySwap:
		if l.Memory == nil && create {
			l.Memory = &resource.Memory{}
		}
		return memorySlot(l.Memory, it)
	case pidsMax:
		return slot{signed: &l.PIDs}
	}
	if l.IO == nil && create {
		l.IO = &resource.IO{}
	}
	return ioSlot(l.IO, it)
}

func cpuSlot(c *resource.CPU, it item) slot {
	switch {
	case c == nil:
		return slot{}
	case it == cpuQuota:
		return slot{signed: &c.QuotaUS}
	case it == cpuPeriod:
		return slot{unsigned: &c.PeriodUS}
	}
	return slot{unsigned: &c.Weight}
}

func memorySlot(m *resource.Memory, it item) slot {
	switch {
	case m == nil:
		return slot{}
	case it == memoryMax:
		return slot{signed: &m.Max}
	case it == memoryHigh:
		return slot{signed: &m.High}
	}
	return slot{signed: &m.Swap}
}

func ioSlot(i *resource.IO, it item) slot {
	switch {
	case i == nil:
		return slot{}
	case it == ioWeight:
		return slot{unsigned: &i.Weight}
	case it == ioReadBPS:
		return slot{unsigned: &i.ReadBPS}
	case it == ioWriteBPS:
		return slot{unsigned: &i.WriteBPS}
	case it == ioReadIOPS:
		return slot{unsigned: &i.ReadIOPS}
	}
	return slot{unsigned: &i.WriteIOPS}
}
