package plan

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// FormatVersion is the version of the plan's own JSON.
const FormatVersion = 2

// A Step is a Change with all that a person needs to judge it.
type Step struct {
	Change
	Action  Action   `json:"action"`
	Drift   bool     `json:"drift,omitempty"` // others changed the host since the last apply
	Summary string   `json:"summary,omitempty"`
	Items   []Item   `json:"items,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	Place   string   `json:"place,omitempty"`
}

// Access is the direction of all items together.
func (s Step) Access() Access {
	var a Access
	for _, it := range s.Items {
		a = a.Add(it.Access)
	}
	return a
}

// Restart reports whether the step takes a new sandbox.
func (s Step) Restart() bool {
	return slices.ContainsFunc(s.Items, func(it Item) bool { return it.Restart })
}

// Scope is what a plan was asked to be about, where that is not everything.
type Scope struct {
	Targets  []string `json:"targets,omitempty"`  // only these addresses, and what they need
	Excluded []string `json:"excluded,omitempty"` // all but these
	Replaced []string `json:"replaced,omitempty"` // make these anew, though nothing about them changed
	Blind    bool     `json:"blind,omitempty"`    // the records are taken for what is there
}

// Whole reports whether it is everything, as it is on the host.
func (s Scope) Whole() bool {
	return len(s.Targets)+len(s.Excluded)+len(s.Replaced) == 0 && !s.Blind
}

// A Plan is an ordered list of steps, made from the state with this serial.
type Plan struct {
	Version int    `json:"version"`
	Env     string `json:"environment"`
	Mode    Mode   `json:"mode"`
	Of      string `json:"of,omitempty"` // the generation or snapshot of a rollback or load
	Lineage string `json:"lineage,omitempty"`
	Serial  uint64 `json:"serial"`
	Basis   Basis  `json:"basis"`
	Scope   Scope  `json:"scope,omitzero"`
	Keep    int    `json:"keep,omitempty"` // generations that the history keeps; 0 is the usual number

	Desired []Object `json:"desired"` // what state.json holds after the commit
	Steps   []Step   `json:"steps"`
	Drift   []Step   `json:"drift,omitempty"` // what others changed since the last apply, from the records to what is there

	// Recorded is that what will be recorded differs from what is: there is something
	// to commit, also where nothing is to be done on the host.
	Recorded bool `json:"recorded,omitempty"`
}

// Empty reports whether there is nothing to do. Records alone are only what a
// refresh-only plan is about.
func (p Plan) Empty() bool { return len(p.Steps) == 0 && (p.Mode != RefreshOnly || !p.Recorded) }

// Changes returns the bare changes, in the order in which they are applied.
func (p Plan) Changes() []Change {
	cs := make([]Change, len(p.Steps))
	for i, s := range p.Steps {
		cs[i] = s.Change
	}
	return cs
}

// Same reports whether two plans do the same. What is said about it counts for
// nothing.
func (p Plan) Same(o Plan) bool {
	return p.Env == o.Env && p.Mode == o.Mode && p.Of == o.Of && p.Lineage == o.Lineage && p.Serial == o.Serial && p.Recorded == o.Recorded &&
		slices.EqualFunc(p.Steps, o.Steps, func(a, b Step) bool {
			return a.Addr == b.Addr && bytes.Equal(Canonical(a.From), Canonical(b.From)) && bytes.Equal(Canonical(a.To), Canonical(b.To))
		})
}

// Describe is asked once per change; kinds answer it.
type Describe func(Change) Description

// Diff compares what is wanted with what was recorded and what is there now.
// Creations and updates come in the order of desired, then deletions in the
// reverse of the order in which they were recorded.
//
// Everything that is observed counts as Blast's own: kinds look only at names
// made from the environment's id. So an environment whose state was lost is
// adopted or destroyed, never left behind.
func Diff(desired, recorded, observed []Object, describe Describe) Plan {
	p := Plan{Version: FormatVersion, Mode: Normal, Desired: desired}
	want, rec, now := index(desired), index(recorded), index(observed)
	was := make(map[string]*Object, len(recorded))
	for i, o := range recorded {
		was[o.Addr] = &recorded[i]
	}
	add := func(o Object, to json.RawMessage) {
		p.Steps = append(p.Steps, newStep(Change{o.Addr, now[o.Addr], to}, o, was[o.Addr], describe))
	}
	for _, o := range desired {
		if to := Canonical(o.Attrs); !bytes.Equal(now[o.Addr], to) {
			add(o, to)
		}
	}
	for _, o := range slices.Backward(recorded) {
		if _, wanted := want[o.Addr]; !wanted {
			add(o, nil)
		}
	}
	for _, o := range slices.Backward(observed) {
		_, wanted := want[o.Addr]
		if _, known := rec[o.Addr]; !wanted && !known {
			add(o, nil)
		}
	}
	p.Drift = drift(recorded, now, describe)
	p.Recorded = !alike(want, rec)
	return p
}

// drift is what others did to what was recorded.
func drift(recorded []Object, now map[string]json.RawMessage, describe Describe) []Step {
	var out []Step
	for _, o := range recorded {
		if c := (Change{o.Addr, Canonical(o.Attrs), now[o.Addr]}); !bytes.Equal(c.From, c.To) {
			out = append(out, drifted(c, o, describe))
		}
	}
	return out
}

// drifted tells what others did. What the kind itself found on the host says more
// than how the attributes differ.
func drifted(c Change, o Object, describe Describe) Step {
	s := Step{Change: c, Action: actionOf(c), Drift: true, Place: o.Src[""]}
	if describe == nil {
		return s
	}
	d := describe(c)
	s.Summary, s.Items, s.Notes = d.Summary, d.Items, d.Notes
	found := slices.DeleteFunc(describe(c.Reverse()).Items, func(it Item) bool { return it.Cause != "" || it.Because == "" })
	if len(found) > 0 {
		s.Items = found
	}
	s.explain(o, nil, ByDrift)
	return s
}

// newStep tells the story of one change: what was recorded, if anything, says
// whether it is the configuration or the host that moved.
func newStep(c Change, o Object, was *Object, describe Describe) Step {
	s := Step{Change: c, Action: actionOf(c), Place: o.Src[""]}
	var recorded json.RawMessage
	if was != nil {
		recorded = Canonical(was.Attrs)
		s.Drift = !bytes.Equal(recorded, c.From)
	}
	if describe == nil || c.From == nil && c.To == nil { // of what nobody sees there is nothing to tell
		return s
	}
	d := describe(c)
	s.Summary, s.Items, s.Notes = d.Summary, d.Items, d.Notes
	// Only what the configuration did not ask for is the host's doing: an item
	// both edited in blast.hcl and drifted is blamed on blast.hcl.
	cause := ByConfiguration
	if s.Drift && bytes.Equal(recorded, c.To) {
		cause = ByDrift
	}
	s.explain(o, was, cause)
	if s.Action == Update && s.Restart() {
		s.Action = Replace
	}
	return s
}

func actionOf(c Change) Action {
	switch {
	case c.To == nil:
		return Delete
	case c.From == nil:
		return Create
	}
	return Update
}

// PlaceOf finds the place of an item, or of the nearest block around it.
func PlaceOf(src map[string]string, name string) string {
	for {
		if p := src[name]; p != "" {
			return p
		}
		i := lastDot(name)
		if i < 0 {
			return src[""]
		}
		name = name[:i]
	}
}

func lastDot(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '.' {
			return i
		}
	}
	return -1
}

func index(objs []Object) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(objs))
	for _, o := range objs {
		m[o.Addr] = Canonical(o.Attrs)
	}
	return m
}

func alike(a, b map[string]json.RawMessage) bool {
	return maps.EqualFunc(a, b, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}
