package ledger

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/traffic"
)

// Show tells what is over, what was refused, what is open and the totals, each line
// one JSON object (see traffic), and with follow what comes then, until ctx or the
// gate ends. tell may take as long as it likes. An error of tell ends it.
func (l *Ledger) Show(ctx context.Context, follow bool, tell func(json.RawMessage) error) error {
	s, err := l.sight(follow)
	if err != nil {
		return err
	}
	defer l.leave(s)
	if err := showPast(s.past, tell); err != nil {
		return err
	}
	until, err := showDenials(l.o.Dir, tell)
	if err != nil {
		return err
	}
	for _, e := range s.live {
		c, over := e.now()
		if over && follow {
			continue // it is among what comes
		}
		if err := say(tell, c); err != nil {
			return err
		}
	}
	if err := say(tell, l.sum()); err != nil || !follow {
		return err
	}
	return l.follow(ctx, s.reader, until, tell)
}

// A sight is the record at one moment: nothing falls between what is over, open,
// and coming.
type sight struct {
	past   *ndjson.Past
	live   []*Entry
	reader *ndjson.Reader
}

func (l *Ledger) sight(follow bool) (sight, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var s sight
	var err error
	if s.past, err = ndjson.OpenPast(record(l.o.Dir)); err != nil {
		return s, err
	}
	for e := range l.live {
		s.live = append(s.live, e)
	}
	slices.SortFunc(s.live, func(a, b *Entry) int { return int(a.c.ID) - int(b.c.ID) })
	if follow && !l.closed {
		s.reader = l.readers.Add()
	}
	return s, nil
}

func (l *Ledger) leave(s sight) {
	s.past.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers.Remove(s.reader)
}

// Past shows what is over of an environment that has no gate right now.
func Past(dir string, tell func(json.RawMessage) error) error {
	p, err := ndjson.OpenPast(record(dir))
	if err != nil {
		return err
	}
	defer p.Close()
	if err := showPast(p, tell); err != nil {
		return err
	}
	_, err = showDenials(dir, tell)
	return err
}

// showPast tells the lines that say the last word of something.
func showPast(p *ndjson.Past, tell func(json.RawMessage) error) error {
	return p.Each(func(b []byte) error {
		var head struct{ Type, State string }
		if json.Unmarshal(b, &head) == nil && (head.Type == traffic.TypeQuestion || head.Type == traffic.TypeConnection && head.State == traffic.Closed) {
			return tell(slices.Clone(b))
		}
		return nil
	})
}

// showDenials returns the time of the last one.
func showDenials(dir string, tell func(json.RawMessage) error) (until time.Time, err error) {
	ds, _, err := denial.Read(filepath.Join(dir, denial.File), 0)
	for _, d := range ds {
		until = d.Time
		if err == nil {
			err = say(tell, traffic.Denial{Type: traffic.TypeDenial, Denial: d})
		}
	}
	return until, err
}

func say(tell func(json.RawMessage) error, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tell(b)
}

// sum are the totals as they stand, with what is open and what the filter counted.
func (l *Ledger) sum() traffic.Totals {
	l.mu.Lock()
	t := l.totals
	t.Rules = map[string]traffic.Sum{}
	for rule, s := range l.totals.Rules {
		t.Rules[rule] = s
	}
	live := make([]*Entry, 0, len(l.live))
	for e := range l.live {
		live = append(live, e)
	}
	l.mu.Unlock()
	for _, e := range live {
		c, _ := e.now()
		t.Rules[c.Key()] = t.Rules[c.Key()].Plus(traffic.Sum{Connections: 1, Open: 1, Sent: c.Sent, Received: c.Received})
	}
	if l.o.Limits != nil {
		t.Limits = l.o.Limits()
	}
	if l.o.Filter != nil {
		t.Filter = l.o.Filter()
	}
	if l.o.Delayed != nil {
		t.Delayed = l.o.Delayed()
	}
	return t
}

// follow tells what comes, but for denials that were told already.
func (l *Ledger) follow(ctx context.Context, r *ndjson.Reader, told time.Time, tell func(json.RawMessage) error) error {
	if r == nil { // closed in the meantime
		return nil
	}
	for {
		select {
		case b := <-r.Lines:
			if repeats(b, told) {
				continue
			}
			if err := tell(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-l.quit:
			return l.rest(r, tell)
		}
		if n := l.missedBy(r); n > 0 {
			if err := say(tell, traffic.Missed{Type: traffic.TypeMissed, Lines: n}); err != nil {
				return err
			}
		}
	}
}

// rest tells what still waits when the gate has ended.
func (l *Ledger) rest(r *ndjson.Reader, tell func(json.RawMessage) error) error {
	for {
		select {
		case b := <-r.Lines:
			if err := tell(b); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// missedBy is how many lines a reader missed since it was asked last.
func (l *Ledger) missedBy(r *ndjson.Reader) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.Missed()
}

func repeats(b []byte, told time.Time) bool {
	var d struct {
		Type string
		Time time.Time
	}
	return json.Unmarshal(b, &d) == nil && d.Type == traffic.TypeDenial && !d.Time.After(told)
}
