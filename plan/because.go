package plan

import (
	"fmt"
	"slices"
	"strings"
)

// A Maker is something outside of a line of blast.hcl that a value was made of: a
// variable, or what env reads.
type Maker struct {
	Name  string `json:"name"`            // "var.memory", "env HOME"
	Value string `json:"value,omitempty"` // as far as it may be told; Sensitive if it is that
	From  string `json:"from,omitempty"`  // what gave it the value: "--var memory", "BLAST_VAR_memory", "default"
	Place string `json:"place,omitempty"` // where the value stands, if in a file: "dev.auto.blastvars:3"
}

// Makers are all that a value was made of, each once.
type Makers []Maker

// With returns ms with those that are not among them.
func (ms Makers) With(more ...Maker) Makers {
	for _, m := range more {
		if ms.find(m.Name) < 0 {
			ms = append(ms, m)
		}
	}
	return ms
}

func (ms Makers) find(name string) int {
	return slices.IndexFunc(ms, func(m Maker) bool { return m.Name == name })
}

// Sensitive is the value of a Maker that must not be shown.
const Sensitive = "(sensitive)"

// String is "var.memory = 2GiB (default, blast.hcl:4)".
func (m Maker) String() string { return m.Name + m.rest(" = ") }

// rest is all but the name, the value after equals.
func (m Maker) rest(equals string) string {
	s, hidden := "", ""
	switch m.Value {
	case "":
	case Sensitive:
		hidden = "sensitive"
	default:
		s = equals + m.Value
	}
	from := slices.DeleteFunc([]string{hidden, m.From, m.Place}, func(t string) bool { return t == "" })
	if len(from) > 0 {
		s += " (" + strings.Join(from, ", ") + ")"
	}
	return s
}

// told reports whether two equal values are known to be equal.
func (m Maker) told() bool { return m.Value != "" && m.Value != Sensitive }

// maxMakers is how many of them a line of a plan names.
const maxMakers = 3

// Outside is what is said first of an item that somebody else changed; who did it,
// if that is known, comes after it.
const Outside = "changed outside of Blast"

// gone is what is said of one that isn't there any more, as long as no more is known.
const gone = "gone"

// explain fills in what the kind left open about the place and the reason of each
// item. was is what was recorded of o, if anything.
func (s *Step) explain(o Object, was *Object, cause Cause) {
	for i := range s.Items {
		it := &s.Items[i]
		if it.Place == "" {
			it.Place = PlaceOf(o.Src, it.Name)
		}
		switch {
		case cause == ByDrift && (it.Cause != "" || it.Because == ""): // whatever it looks like to the kind
			if it.Cause, it.Because = ByDrift, Outside; s.gone() {
				it.Because = gone
			}
		case it.Cause != "":
		case it.Because != "": // what a kind found, it found on the host
			it.Cause = ByDrift
		case was == nil:
			it.Cause = cause
			it.blame(o.By[it.Name], nil)
		default:
			it.Cause = cause
			it.blame(o.By[it.Name], was.By[it.Name])
		}
	}
}

// gone reports whether what somebody changed isn't there any more.
func (s *Step) gone() bool { return s.Drift && (s.From == nil || s.To == nil) }

// blame names the variables because of which an item is otherwise than it was: those
// that had another value then, or may have had. Where all are as they were, it is the
// line that was changed.
func (it *Item) blame(now, was Makers) {
	var because []string
	var place string
	for _, m := range now {
		i := was.find(m.Name)
		text := m.String()
		if i >= 0 && m.told() && was[i].told() {
			if m.Value == was[i].Value {
				continue
			}
			text += " instead of" + was[i].rest(" ")
			place = m.Place
		}
		because = append(because, text)
	}
	if len(because) == 0 {
		return
	}
	if more := len(because) - maxMakers; more > 0 {
		because = append(because[:maxMakers], fmt.Sprintf("%d more", more))
	} else if len(because) == 1 && place != "" {
		it.Place = place
	}
	it.Cause, it.Because = ByVariable, strings.Join(because, ", ")
}

// For makes the plan one for something else than what blast.hcl says: of is the
// generation or snapshot. Whatever it doesn't mend it does because of that.
func (p *Plan) For(mode Mode, of string) {
	p.Mode, p.Of = mode, of
	var cause Cause
	var because string
	switch mode {
	case Rollback:
		cause, because = ByGeneration, "generation "+of
	case Load:
		cause, because = BySnapshot, "snapshot "+of
	case Destroy:
		cause, because = ByRequest, "destroy"
	default:
		return
	}
	for _, s := range p.Steps {
		for i := range s.Items {
			if it := &s.Items[i]; it.Cause != ByDrift {
				it.Cause, it.Because = cause, because
			}
		}
	}
}

// Upgraded says of new versions of packages that they were asked for.
func (p *Plan) Upgraded() {
	for _, s := range p.Steps {
		for i := range s.Items {
			if it := &s.Items[i]; it.Cause == ByPackage {
				it.Because += ", --upgrade"
			}
		}
	}
}

// Tell adds how the host came to differ, as far as that is known: address → "by nft
// (pid 4711, uid 0)", or how it ended. It explains, and nothing is decided by it.
func (p *Plan) Tell(known map[string]string) {
	for _, steps := range [][]Step{p.Steps, p.Drift} {
		for i := range steps {
			if steps[i].Drift {
				steps[i].tell(known[steps[i].Addr])
			}
		}
	}
}

func (s *Step) tell(known string) {
	blamed := false
	for i := range s.Items {
		it := &s.Items[i]
		if it.Cause != ByDrift {
			continue
		}
		blamed = true
		switch {
		case it.Because == gone:
			it.Because = orUnknown(known)
		case known != "":
			it.Because += ", " + known
		case it.Because == Outside:
			it.Because += ", not known by whom"
		}
	}
	if !blamed && s.gone() { // no part of it has a line
		_, name, _ := strings.Cut(s.Addr, ".")
		s.Items = append(s.Items, Item{Name: name, Action: s.Action, Place: s.Place, Cause: ByDrift, Because: orUnknown(known)})
	}
}

// Tells reports whether the item is no part of what is made, and only tells how it
// came that it has to be made anew.
func (it Item) Tells() bool { return it.Cause == ByDrift && it.Before == "" && it.After == "" }

func orUnknown(known string) string {
	if known == "" {
		return gone + ", not known how"
	}
	return known
}
