package resource

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

var _ kinds.Porter = Words{}

// Leave implements kinds.Porter: limits are the same everywhere.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) { return objs, nil }

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	r := to.Block("resource")
	for _, o := range objs {
		var l Limits
		var rs Rlimits
		var err error
		switch o.Addr {
		case LimitsAddr:
			if err = kinds.Strictly(o, &l); err == nil {
				l.write(r)
			}
		case RlimitsAddr:
			if err = kinds.Strictly(o, &rs); err == nil {
				writeRlimits(rs, r)
			}
		default:
			err = fmt.Errorf("%s: no such object", o.Addr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l Limits) write(to *block.Writer) {
	if c := l.CPU; c != nil {
		b := to.Block("cpu")
		if c.QuotaUS != nil {
			b.Duration("quota", time.Duration(*c.QuotaUS)*time.Microsecond)
		}
		if c.PeriodUS != nil {
			b.Duration("period", time.Duration(*c.PeriodUS)*time.Microsecond)
		}
		writeInt(b, "weight", c.Weight)
	}
	if m := l.Memory; m != nil {
		b := to.Block("memory")
		for _, n := range []struct {
			name string
			n    *int64
		}{{"max", m.Max}, {"high", m.High}, {"swap", m.Swap}} {
			if n.n != nil {
				b.Size(n.name, *n.n)
			}
		}
	}
	if l.IO != nil {
		l.IO.write(to.Block("io"))
	}
	if l.PIDs != nil {
		to.Block("pids").Int("max", *l.PIDs)
	}
}

func (io IO) write(to *block.Writer) {
	writeInt(to, "weight", io.Weight)
	if io.ReadBPS != nil {
		to.Size("read_bps", int64(*io.ReadBPS))
	}
	if io.WriteBPS != nil {
		to.Size("write_bps", int64(*io.WriteBPS))
	}
	writeInt(to, "read_iops", io.ReadIOPS)
	writeInt(to, "write_iops", io.WriteIOPS)
}

func writeInt(to *block.Writer, name string, n *uint64) {
	if n != nil {
		to.Int(name, int64(*n))
	}
}

func writeRlimits(rs Rlimits, to *block.Writer) {
	for _, name := range slices.Sorted(maps.Keys(rs)) {
		b := to.Block("rlimit", name)
		b.Bound("soft", rs[name].Soft, unlimited)
		b.Bound("hard", rs[name].Hard, unlimited)
	}
}
