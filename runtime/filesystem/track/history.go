package track

import (
	"container/list"
	"maps"
	"strings"
	"unicode/utf8"

	"blast.example/blast/runtime/filesystem/access"
)

// A history is what happened to each of the paths that were used last.
type history struct {
	most int
	of   map[string]*list.Element // of *access.Path
	used *list.List               // the last one first
}

func newHistory(most int) *history {
	return &history{most: most, of: map[string]*list.Element{}, used: list.New()}
}

// add takes in an access. What was renamed goes on under its new name.
func (h *history) add(x access.Access) {
	p := h.at(x.Path, x)
	h.count(p, x)
	if x.To != "" {
		h.count(h.at(x.To, x), x)
	}
}

func (h *history) count(p *access.Path, x access.Access) {
	p.Last, p.By = x.Time, x.Process
	p.Ops[x.Op]++
	if x.Size > 0 {
		p.Size = x.Size
	}
}

func (h *history) at(path string, x access.Access) *access.Path {
	if e := h.of[path]; e != nil {
		h.used.MoveToFront(e)
		return e.Value.(*access.Path) //nolint:forcetypeassert // nothing else is in there
	}
	if h.used.Len() >= h.most {
		last := h.used.Back()
		delete(h.of, h.used.Remove(last).(*access.Path).Path) //nolint:forcetypeassert // likewise
	}
	p := &access.Path{Type: access.TypePath, Path: path, First: x.Time, Ops: map[string]uint64{}}
	h.of[path] = h.used.PushFront(p)
	return p
}

// all are copies, the one that was used last at the end.
func (h *history) all() []access.Path {
	var out []access.Path
	for e := h.used.Back(); e != nil; e = e.Prev() {
		p := *e.Value.(*access.Path) //nolint:forcetypeassert // likewise
		p.Ops = maps.Clone(p.Ops)
		out = append(out, p)
	}
	return out
}

// text is what a sandbox chose, as a JSON string may hold it, cut where that would take
// more than so many bytes.
func text(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	for i, r := range s {
		if most -= encoded(r); most < 0 {
			return s[:i]
		}
	}
	return s
}

// encoded is how many bytes a character takes in JSON, at most.
func encoded(r rune) int {
	if r < ' ' || r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029' {
		return len(`\u0000`)
	}
	if r == '"' || r == '\\' {
		return 2
	}
	return utf8.RuneLen(r)
}
