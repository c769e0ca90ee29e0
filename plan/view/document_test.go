package view

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"blast.example/blast/plan"
)

func TestDocumentGolden(t *testing.T) {
	b, err := Document(sample(), Options{Version: "0.1.0", Digest: "d1", Hide: hideVars})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", b)
	b, err = State(Record{"dev", "6f1c", 4, sample().Desired}, Options{Version: "0.1.0", Hide: hideVars}, nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "state.json", b)
}

// HashiCorp's own library reads a plan of ours as one of Terraform's.
func TestTerraformReadsPlan(t *testing.T) {
	b, err := Document(sample(), Options{Hide: hideVars})
	if err != nil {
		t.Fatal(err)
	}
	var p tfjson.Plan
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	var got []string
	changes := map[string]*tfjson.ResourceChange{}
	for _, rc := range p.ResourceChanges {
		changes[rc.Address] = rc
		if rc.Type+"."+rc.Name != rc.Address || rc.Mode != tfjson.ManagedResourceMode || rc.ProviderName == "" {
			t.Errorf("%+v", rc)
		}
		a := rc.Change.Actions
		is := map[string]bool{"create": a.Create(), "update": a.Update(), "delete": a.Delete(), "create then delete": a.CreateBeforeDestroy(), "no-op": a.NoOp()}
		for name, yes := range is {
			if yes {
				got = append(got, rc.Address+" "+name+" "+string(rc.ActionReason))
			}
		}
	}
	if want := []string{
		"resource.limits update ", "network.policy update ", "packages.set create ", "process.sandbox create then delete replace_because_cannot_update",
		"process.environment update ", "filesystem.tree delete delete_because_no_resource_config", "resource.rlimits no-op ",
	}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	c := changes["process.sandbox"].Change
	if !c.Actions.Replace() || !reflect.DeepEqual(c.Before, map[string]any{"uid": 65534.0, "user": "nobody"}) || !reflect.DeepEqual(c.After, map[string]any{"uid": 0.0, "user": "root"}) {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c.ReplacePaths, []any{[]any{"uid"}, []any{"user"}}) {
		t.Errorf("%v", c.ReplacePaths)
	}
	if c := changes["packages.set"].Change; c.Before != nil || c.After == nil || c.BeforeSensitive != false {
		t.Errorf("%+v", c)
	}
	if c := changes["process.environment"].Change; !reflect.DeepEqual(c.AfterSensitive, map[string]any{"vars": map[string]any{"TOKEN": true}}) {
		t.Errorf("%+v", c)
	}
	if len(p.ResourceDrift) != 2 || p.ResourceDrift[0].Address != "resource.limits" || !p.ResourceDrift[0].Change.Actions.Update() ||
		!p.ResourceDrift[1].Change.Actions.Delete() || !reflect.DeepEqual(p.ResourceDrift[0].Change.After, map[string]any{"pids": 60.0}) {
		t.Errorf("%+v", p.ResourceDrift)
	}
	if got := values2(p.PriorState.Values); got != "filesystem.tree network.policy process.environment process.sandbox resource.limits resource.rlimits" {
		t.Error(got)
	}
	if got := values2(p.PlannedValues); got != "resource.limits resource.rlimits network.policy process.sandbox process.environment packages.set" {
		t.Error(got)
	}
	if p.Complete == nil || !*p.Complete {
		t.Error("not complete")
	}
}

func values2(v *tfjson.StateValues) string {
	var out []string
	for _, r := range v.RootModule.Resources {
		out = append(out, r.Address)
	}
	return strings.Join(out, " ")
}

func TestTerraformReadsState(t *testing.T) {
	describe := func(c plan.Change) plan.Description { return plan.Description{Summary: "the line of " + c.Addr} }
	b, err := State(Record{"dev", "6f1c", 4, sample().Desired}, Options{Hide: hideVars}, describe)
	if err != nil {
		t.Fatal(err)
	}
	var s tfjson.State
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	r := s.Values.RootModule.Resources
	if len(r) != 6 || r[0].Address != "resource.limits" || r[0].AttributeValues["pids"] != 65.0 || r[2].DependsOn[0] != "network.namespace" ||
		string(r[4].SensitiveValues) == "{}" || !strings.Contains(string(b), `"summary": "the line of packages.set"`) {
		t.Errorf("%s", b)
	}
	b, err = State(Record{Env: "dev"}, Options{}, nil)
	if err != nil || json.Unmarshal(b, &s) != nil || strings.Contains(string(b), "values") {
		t.Errorf("%s, %v", b, err)
	}
}

// A plan from a file may have attributes that no kind writes.
func TestDocumentOfOddPlans(t *testing.T) {
	p := plan.Plan{Desired: []plan.Object{{Addr: "a", Attrs: raw(`"x"`)}, {Addr: "b.c.d"}}, Steps: []plan.Step{{Change: plan.Change{Addr: ""}}, {Change: plan.Change{Addr: "a.b", From: raw("1"), To: raw("[]")}, Action: plan.Replace}}}
	b, err := Document(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var tf tfjson.Plan
	if err := json.Unmarshal(b, &tf); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
}

// What is hidden is nowhere in a document, and what can't be seen is escaped and
// still the same.
func TestDocumentHidesAndKeeps(t *testing.T) {
	p := sample()
	b, err := Document(p, Options{Hide: hideVars})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, "hush") || strings.Contains(s, "\u202e") || strings.Contains(s, "##[") {
		t.Error(s)
	}
	var doc struct {
		Changes []struct {
			Blast struct {
				Items []plan.Item `json:"items"`
			} `json:"blast"`
		} `json:"resource_changes"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if got := doc.Changes[1].Blast.Items[3].After; got != hostile {
		t.Errorf("%q is another text", got)
	}
}
