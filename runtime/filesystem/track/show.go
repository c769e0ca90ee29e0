package track

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/ndjson"
)

// show tells what is on record, the history of each path and the totals, each line one
// JSON object (see package access), and with follow what comes then, until ctx or the
// record ends. tell may take as long as it likes. An error of tell ends it.
func (b *book) show(ctx context.Context, follow bool, tell func(json.RawMessage) error) error {
	s, err := b.sight(follow)
	if err != nil {
		return err
	}
	defer b.leave(s)
	if err := showPast(s.past, tell); err != nil {
		return err
	}
	for _, p := range s.paths {
		if err := say(tell, p); err != nil {
			return err
		}
	}
	if err := say(tell, s.totals); err != nil || s.reader == nil {
		return err
	}
	return b.follow(ctx, s.reader, tell)
}

// A sight is the record at one moment: nothing falls between what was and what comes.
type sight struct {
	past   *ndjson.Past
	paths  []access.Path
	totals access.Totals
	reader *ndjson.Reader
}

func (b *book) sight(follow bool) (sight, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s sight
	var err error
	if s.past, err = ndjson.OpenPast(record(b.dir)); err != nil {
		return s, err
	}
	s.paths, s.totals = b.paths.all(), b.totals
	s.totals.Ops, s.totals.Bytes, s.totals.Fired = maps.Clone(b.totals.Ops), maps.Clone(b.totals.Bytes), maps.Clone(b.totals.Fired)
	if follow && !b.closed {
		s.reader = b.readers.Add()
	}
	return s, nil
}

func (b *book) leave(s sight) {
	s.past.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers.Remove(s.reader)
}

// past shows what is on record of an environment in which nothing is tracked right now.
func past(dir string, tell func(json.RawMessage) error) error {
	p, err := ndjson.OpenPast(record(dir))
	if err != nil {
		return err
	}
	defer p.Close()
	return showPast(p, tell)
}

func showPast(p *ndjson.Past, tell func(json.RawMessage) error) error {
	return p.Each(func(line []byte) error {
		if v, err := access.Decode(line); err == nil {
			switch v.(type) {
			case *access.Access, *access.Alert, *access.Gap:
				return tell(slices.Clone(line))
			}
		}
		return nil
	})
}

func say(tell func(json.RawMessage) error, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tell(line)
}

func (b *book) follow(ctx context.Context, r *ndjson.Reader, tell func(json.RawMessage) error) error {
	for {
		select {
		case line := <-r.Lines:
			if err := tell(line); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-b.quit:
			return rest(r, tell)
		}
		b.mu.Lock()
		n := r.Missed()
		b.mu.Unlock()
		if n > 0 {
			if err := say(tell, access.Missed{Type: access.TypeMissed, Lines: n}); err != nil {
				return err
			}
		}
	}
}

// rest tells what still waits when the record has ended.
func rest(r *ndjson.Reader, tell func(json.RawMessage) error) error {
	for {
		select {
		case line := <-r.Lines:
			if err := tell(line); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
