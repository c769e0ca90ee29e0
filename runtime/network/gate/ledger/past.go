package ledger

import (
	"slices"
	"time"

	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/runtime/network/traffic"
)

// A past is what the files of earlier daemons say.
type past struct {
	last   uint64 // ID
	totals traffic.Totals
	open   map[uint64]traffic.Connection
}

// recall reads what there is of a record.
func recall(dir string) (past, error) {
	p := past{open: map[uint64]traffic.Connection{}}
	on, err := ndjson.OpenPast(record(dir))
	if err != nil {
		return p, err
	}
	defer on.Close()
	err = on.Each(func(b []byte) error {
		if l, err := traffic.Decode(b); err == nil {
			p.add(l)
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	p.totals.Type = traffic.TypeTotals
	if p.totals.Since.IsZero() {
		p.totals.Since = time.Now()
	}
	if p.totals.Rules == nil {
		p.totals.Rules = map[string]traffic.Sum{}
	}
	return p, nil
}

// record is where it is, in a run folder.
func record(dir string) ndjson.Name {
	return ndjson.Name{Dir: dir, Now: traffic.File, Old: traffic.OldFile, MaxSize: maxSize}
}

// maxSize is how long a file of the record gets, in bytes, before the next is begun.
const maxSize = 4 << 20

// add takes in one line. Totals stand for all lines before them.
func (p *past) add(l traffic.Line) {
	switch {
	case l.Totals != nil:
		p.totals = *l.Totals
	case l.Question != nil:
		p.count("", traffic.Sum{Questions: uint64(l.Question.Missed)})
		p.count(traffic.KeyOf(traffic.Out, l.Question.Rule), traffic.Sum{Questions: 1})
	case l.Connection != nil:
		p.connection(*l.Connection)
	}
}

func (p *past) connection(c traffic.Connection) {
	p.last = max(p.last, c.ID)
	if p.totals.Since.IsZero() {
		p.totals.Since = c.Time
	}
	if c.State == traffic.Open {
		p.open[c.ID] = c
		return
	}
	delete(p.open, c.ID)
	p.count("", traffic.Sum{Connections: uint64(c.Missed)}) // of whichever rule
	p.count(c.Key(), traffic.Sum{Connections: 1, Sent: c.Sent, Received: c.Received})
}

func (p *past) count(rule string, s traffic.Sum) {
	if p.totals.Rules == nil {
		p.totals.Rules = map[string]traffic.Sum{}
	}
	if s != (traffic.Sum{}) {
		p.totals.Rules[rule] = p.totals.Rules[rule].Plus(s)
	}
}

// lost are the connections that were open when a daemon was killed: they ended with
// it, and what went through them nobody counted. When that was is not known but by
// now.
func (p *past) lost() []traffic.Connection {
	var all []traffic.Connection
	for _, c := range p.open {
		c.State, c.Ended, c.End = traffic.Closed, time.Now(), traffic.WithDaemon
		c.Reason = "blastd was killed before it could say how much went through"
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b traffic.Connection) int { return int(a.ID) - int(b.ID) })
	return all
}
