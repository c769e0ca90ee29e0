package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"blast.example/blast/plan"
)

// Provider is what Terraform's formats call the provider of every object.
const Provider = "blast"

// A Hide returns the attributes of an object as they may be shown, and the same
// structure with true in the place of what is hidden: nil where nothing is.
type Hide func(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage)

// Options are what a document says beside the plan.
type Options struct {
	Version string // of blast
	Digest  string // of the plan, if known
	Hide    Hide   // nil hides nothing
}

// stepExtra is what Terraform has no name for in one change.
type stepExtra struct {
	Access  plan.Access `json:"access"`
	Restart bool        `json:"restart"`
	Drift   bool        `json:"drift"`
	Summary string      `json:"summary,omitempty"`
	Place   string      `json:"place,omitempty"`
	Items   []plan.Item `json:"items"`
	Notes   []string    `json:"notes,omitempty"`
}

type planExtra struct {
	Version     string      `json:"version"`
	Environment string      `json:"environment"`
	Mode        plan.Mode   `json:"mode"`
	Of          string      `json:"of,omitempty"`
	Lineage     string      `json:"lineage,omitempty"`
	Serial      uint64      `json:"serial"`
	Digest      string      `json:"digest,omitempty"`
	Basis       plan.Basis  `json:"basis"`
	Scope       plan.Scope  `json:"scope,omitzero"`
	Counts      plan.Counts `json:"counts"`
	Recorded    bool        `json:"recorded"` // to apply it changes the records
}

type change struct {
	Actions         []plan.Action   `json:"actions"`
	Before          json.RawMessage `json:"before"`
	After           json.RawMessage `json:"after"`
	AfterUnknown    json.RawMessage `json:"after_unknown"`
	BeforeSensitive json.RawMessage `json:"before_sensitive"`
	AfterSensitive  json.RawMessage `json:"after_sensitive"`
	ReplacePaths    [][]string      `json:"replace_paths,omitempty"`
}

type resourceChange struct {
	Address      string    `json:"address"`
	Mode         string    `json:"mode"`
	Type         string    `json:"type"`
	Name         string    `json:"name"`
	ProviderName string    `json:"provider_name"`
	Change       change    `json:"change"`
	ActionReason string    `json:"action_reason,omitempty"`
	Blast        stepExtra `json:"blast"`
}

type document struct {
	FormatVersion   string           `json:"format_version"`
	PlannedValues   *values          `json:"planned_values"`
	ResourceDrift   []resourceChange `json:"resource_drift,omitempty"`
	ResourceChanges []resourceChange `json:"resource_changes"`
	PriorState      *stateDocument   `json:"prior_state,omitempty"`
	Applyable       bool             `json:"applyable"`
	Complete        bool             `json:"complete"`
	Errored         bool             `json:"errored"`
	Blast           planExtra        `json:"blast"`
}

// Document is a plan in the names of Terraform's plan representation. What Terraform
// has no name for is below "blast". Objects that stay as they are come last, as
// "no-op".
// Source: https://developer.hashicorp.com/terraform/internals/json-format
func Document(p plan.Plan, o Options) ([]byte, error) {
	doc := document{
		FormatVersion: "1.2", ResourceChanges: []resourceChange{},
		PlannedValues: o.values(p.Desired), PriorState: &stateDocument{FormatVersion: stateVersion, Values: o.values(prior(p))},
		Applyable: !p.Empty(), Complete: len(p.Scope.Targets)+len(p.Scope.Excluded) == 0,
		Blast: planExtra{
			o.Version, p.Env, p.Mode, p.Of, p.Lineage, p.Serial, o.Digest, p.Basis, p.Scope, p.Counts(), p.Recorded,
		},
	}
	for _, s := range p.Drift {
		doc.ResourceDrift = append(doc.ResourceDrift, o.resource(p, s))
	}
	changed := map[string]bool{}
	for _, s := range p.Steps {
		changed[s.Addr] = true
		doc.ResourceChanges = append(doc.ResourceChanges, o.resource(p, s))
	}
	for _, d := range p.Desired {
		if !changed[d.Addr] {
			s := plan.Step{Change: plan.Change{Addr: d.Addr, From: d.Attrs, To: d.Attrs}, Action: plan.NoOp, Place: d.Src[""]}
			doc.ResourceChanges = append(doc.ResourceChanges, o.resource(p, s))
		}
	}
	b, err := Encode(doc, "  ")
	if err != nil {
		return nil, fmt.Errorf("plan as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// prior is what is there before the plan: what it changes, as it was found, and
// what it leaves.
func prior(p plan.Plan) []plan.Object {
	var out []plan.Object
	changed := map[string]bool{}
	for _, s := range p.Steps {
		changed[s.Addr] = true
		if s.From != nil {
			out = append(out, plan.Object{Addr: s.Addr, Attrs: s.From})
		}
	}
	for _, o := range p.Desired {
		if !changed[o.Addr] {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b plan.Object) int { return strings.Compare(a.Addr, b.Addr) })
	return out
}

func (o Options) resource(p plan.Plan, s plan.Step) resourceChange {
	before, beforeHidden := o.side(s.Addr, s.From)
	after, afterHidden := o.side(s.Addr, s.To)
	c := change{
		Actions: []plan.Action{s.Action}, Before: before, After: after, AfterUnknown: json.RawMessage("{}"),
		BeforeSensitive: beforeHidden, AfterSensitive: afterHidden,
	}
	if s.To == nil {
		c.AfterUnknown = json.RawMessage("false")
	}
	if s.Action == plan.Replace {
		c.Actions = []plan.Action{plan.Create, plan.Delete} // Terraform's create_before_destroy
		c.ReplacePaths = differing(s.From, s.To)
	}
	kind, name := splitAddr(s.Addr)
	return resourceChange{
		Address: s.Addr, Mode: "managed", Type: kind, Name: name, ProviderName: Provider,
		Change: c, ActionReason: reason(p, s), Blast: extraOf(s),
	}
}

// side is one side of a change, and what of it is hidden.
func (o Options) side(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage) {
	if attrs == nil {
		return json.RawMessage("null"), json.RawMessage("false")
	}
	shown, hidden = attrs, nil
	if o.Hide != nil {
		shown, hidden = o.Hide(addr, attrs)
	}
	if hidden == nil {
		hidden = json.RawMessage("{}")
	}
	return shown, hidden
}

// differing are the attributes that aren't the same on both sides, as paths.
func differing(from, to json.RawMessage) [][]string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(from, &a) != nil || json.Unmarshal(to, &b) != nil {
		return nil
	}
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	var out [][]string
	for _, k := range slices.Compact(keys) {
		if !bytes.Equal(a[k], b[k]) {
			out = append(out, []string{k})
		}
	}
	return out
}

func extraOf(s plan.Step) stepExtra {
	return stepExtra{s.Access(), s.Restart(), s.Drift, s.Summary, s.Place, append([]plan.Item{}, s.Items...), s.Notes}
}

// reason is Terraform's word for why, where it has one that fits.
func reason(p plan.Plan, s plan.Step) string {
	switch {
	case s.Action == plan.Replace && slices.ContainsFunc(s.Items, func(it plan.Item) bool { return it.Cause == plan.ByRequest }):
		return "replace_by_request"
	case s.Action == plan.Replace:
		return "replace_because_cannot_update"
	case s.Action == plan.Delete && p.Mode == plan.Normal:
		return "delete_because_no_resource_config"
	}
	return ""
}

// streamReason is the same in the words of the stream, which has others.
var streamReason = map[string]string{
	"replace_by_request":                "requested",
	"replace_because_cannot_update":     "cannot_update",
	"delete_because_no_resource_config": "delete_because_no_resource_config",
}

func splitAddr(addr string) (kind, name string) {
	kind, name, _ = strings.Cut(addr, ".")
	return kind, name
}

func addressOf(addr string) address {
	kind, name := splitAddr(addr)
	return address{Addr: addr, Resource: addr, Provider: Provider, Type: kind, Name: name}
}
