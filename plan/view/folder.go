package view

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"blast.example/blast/plan"
)

// A rank says how much a line of a review matters. The last is the first to be
// left out.
type rank int

const (
	rankDestroy rank = iota
	rankWiden
	rankDrift
	rankRestart
	rankNarrow
	rankNote
	rankRest
)

func rankOf(it plan.Item) rank {
	switch {
	case it.Restart:
		return rankRestart
	case it.Access == plan.Narrow:
		return rankNarrow
	}
	return rankRest
}

// A folder sorts the lines of a review into sections, and chooses those for which
// there is room.
type folder struct {
	review   Review
	sections []*section // the first has no name: a list that is not folded
	named    map[string]*section
	entries  []*entry
}

// An entry is one line of a review.
type entry struct {
	rank    rank
	text    string
	section *section
	kept    bool
}

// A section is a list, or where it has a name a folded block of code.
type section struct {
	name    string
	entries []*entry
	begun   bool
	fence   int // length of the fence around the block, which nothing in it may end
}

// list adds a line to the list, which has the first look.
func (f *folder) list(r rank, text string) { f.add(f.sections[0], r, text) }

// fold adds a line to the folded block of this name.
func (f *folder) fold(name string, r rank, text string) {
	if name == "" { // only in a file that nobody saved
		name = "?"
	}
	s := f.named[name]
	if s == nil {
		s = &section{name: name}
		f.named[name], f.sections = s, append(f.sections, s)
	}
	f.add(s, r, text)
}

func (f *folder) add(s *section, r rank, text string) {
	e := &entry{rank: r, text: text, section: s}
	s.entries, f.entries = append(s.entries, e), append(f.entries, e)
}

// sort puts what matters most first, whatever comes before in the plan.
func (s *section) sort() {
	slices.SortStableFunc(s.entries, func(a, b *entry) int { return cmp.Compare(a.rank, b.rank) })
}

// maxLeft is how long the sentence about what is left out can get, in bytes.
const maxLeft = 300

// choose keeps lines as long as they stay within room bytes, the most important
// first, and returns a sentence about those that are left out.
func (f *folder) choose(room int) string {
	all := slices.Clone(f.entries)
	slices.SortStableFunc(all, func(a, b *entry) int { return cmp.Compare(a.rank, b.rank) })
	n := f.fit(all, room)
	if n < len(all) {
		n = f.fit(all, room-maxLeft)
	}
	for _, e := range all[:n] {
		e.kept = true
	}
	if n == len(all) {
		return ""
	}
	grave := 0
	for _, e := range all[n:] {
		if e.rank <= rankWiden {
			grave++
		}
	}
	out := fmt.Sprintf("\n**Left out here: %d of %s**, the least important first", len(all)-n, plural(len(all), "line"))
	if grave > 0 {
		out += fmt.Sprintf("; **%d of these destroy or widen**", grave)
	}
	return out + ". `blast plan`, or `blast show` of the saved plan, shows all.\n"
}

// fit is how many of the lines, in this order, take no more than room bytes.
func (f *folder) fit(all []*entry, room int) int {
	for _, s := range f.sections {
		s.begun, s.fence = false, 0
	}
	for i, e := range all {
		if room -= e.section.grow(e.text); room < 0 {
			return i
		}
	}
	return len(all)
}

// grow is how many bytes a section takes more when it gets another line.
func (s *section) grow(text string) int {
	n := len(text) + 1
	if !s.begun {
		s.begun = true
		n += len(s.begin(len(s.entries)-1)) + len(s.end()) // the longest beginning
	}
	if need := longest(text, '`') + 1; s.name != "" && need > max(s.fence, minFence) {
		n += 2 * (need - max(s.fence, minFence))
		s.fence = need
	}
	return n
}

const minFence = 3

// begin opens a section of which n lines are shown.
func (s *section) begin(n int) string {
	if s.name == "" {
		return "\n"
	}
	many := plural(len(s.entries), "line")
	if n < len(s.entries) {
		many = fmt.Sprintf("%d of %s", n, many)
	}
	name := strings.ReplaceAll(html.EscapeString(tame(s.name)), "@", "&#64;")
	return "\n<details><summary><code>" + name + "</code>: " + many + "</summary>\n\n" + s.ticks() + "diff\n"
}

func (s *section) end() string {
	if s.name == "" {
		return ""
	}
	return s.ticks() + "\n\n</details>\n"
}

func (s *section) ticks() string { return strings.Repeat("`", max(s.fence, minFence)) }

func (s *section) write(b *strings.Builder) {
	n := 0
	for _, e := range s.entries {
		if e.kept {
			n++
		}
	}
	if n == 0 {
		return
	}
	b.WriteString(s.begin(n))
	for _, e := range s.entries {
		if e.kept {
			b.WriteString(e.text + "\n")
		}
	}
	b.WriteString(s.end())
}
