package plan

import (
	"bytes"
	"encoding/json"
	"slices"
)

// FormatVersion is the version of the plan's own JSON.
const FormatVersion = 1

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

// A Plan is an ordered list of steps, made from the state with this serial.
type Plan struct {
	Version int    `json:"version"`
	Env     string `json:"environment"`
	Lineage string `json:"lineage,omitempty"`
	Serial  uint64 `json:"serial"`

	// Config is the digest of the desired objects' source, so that a saved plan
	// notices that the configuration moved.
	Config  string   `json:"config,omitempty"`
	Desired []Object `json:"desired"` // what state.json holds after the commit
	Steps   []Step   `json:"steps"`
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

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
	return p.Env == o.Env && p.Lineage == o.Lineage && p.Serial == o.Serial && p.Config == o.Config &&
		slices.EqualFunc(p.Steps, o.Steps, func(a, b Step) bool {
			return a.Addr == b.Addr && bytes.Equal(canonical(a.From), canonical(b.From)) && bytes.Equal(canonical(a.To), canonical(b.To))
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
	p := Plan{Version: FormatVersion, Desired: desired}
	want, rec, now := index(desired), index(recorded), index(observed)
	add := func(o Object, to json.RawMessage) {
		c := Change{o.Addr, now[o.Addr], to}
		was, known := rec[o.Addr]
		p.Steps = append(p.Steps, newStep(c, o.Src, was, known, describe))
	}
	for _, o := range desired {
		if to := canonical(o.Attrs); !bytes.Equal(now[o.Addr], to) {
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
	return p
}

// newStep tells the story of one change: what was recorded, if anything, says
// whether it is the configuration or the host that moved.
func newStep(c Change, src map[string]string, was json.RawMessage, known bool, describe Describe) Step {
	s := Step{Change: c, Action: actionOf(c), Place: src[""]}
	s.Drift = known && !bytes.Equal(was, c.From)
	if describe == nil {
		return s
	}
	d := describe(c)
	s.Summary, s.Items, s.Notes = d.Summary, d.Items, d.Notes
	// Only what the configuration did not ask for is the host's doing: an item
	// both edited in blast.hcl and drifted is blamed on blast.hcl.
	because := "configuration"
	if s.Drift && bytes.Equal(was, c.To) {
		because = "changed outside of Blast"
	}
	for i := range s.Items {
		it := &s.Items[i]
		if it.Place == "" {
			it.Place = PlaceOf(src, it.Name)
		}
		if it.Because == "" {
			it.Because = because
		}
		if it.Restart && s.Action == Update {
			s.Action = Replace
		}
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
		if p, ok := src[name]; ok {
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
		m[o.Addr] = canonical(o.Attrs)
	}
	return m
}
