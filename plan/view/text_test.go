package view

import (
	"bytes"
	"strings"
	"testing"

	"blast.example/blast/plan"
)

func TestTextGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, sample(), Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.text", b.Bytes())
	b.Reset()
	if err := Text(&b, sample(), Style{Color: true, ASCII: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.color", b.Bytes())
	b.Reset()
	if err := Summary(&b, sample(), Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.summary", b.Bytes())
}

func obj(addr, v string) plan.Object {
	return plan.NewObject(addr, v, map[string]string{"": "blast.hcl:1"})
}

func TestTextIsSafeAndCounts(t *testing.T) {
	describe := func(c plan.Change) plan.Description {
		return plan.Description{
			Summary: "sum\x1b[2Jmary of " + c.Addr, Notes: []string{"no\x1b[1mte"},
			Items: []plan.Item{{Name: "egress.x", Action: plan.Create, After: "x:443", Access: plan.Widen, Because: "why\u202e\u200b"}},
		}
	}
	p := plan.Diff([]plan.Object{obj("network.namespace", "n"), obj("network.policy", "x"), obj("resource.limits", "y")}, nil, nil, describe)
	p.Env = "dev"
	var b strings.Builder
	if err := Text(&b, p, Style{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.ContainsAny(text, "\x1b\u202e\u200b") {
		t.Errorf("a control character got through: %q", text)
	}
	for _, want := range []string{"# environment.dev will be created", "Plan: 2 to add, 0 to change, 0 to destroy.", "▲ 3 wider", "blast.hcl:1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	b.Reset()
	if err := Text(&b, plan.Plan{}, Style{}); err != nil || !strings.HasPrefix(b.String(), NoChanges) {
		t.Errorf("empty plan: %q, %v", b.String(), err)
	}
}

// What a plan is for and about stands in its heading.
func TestHeadings(t *testing.T) {
	with := func(change func(*plan.Plan)) plan.Plan {
		p := sample()
		change(&p)
		return p
	}
	only := func(i int) func(*plan.Plan) {
		return func(p *plan.Plan) { p.Steps, p.Drift = p.Steps[i:i+1], nil }
	}
	for _, tt := range []struct {
		name string
		p    plan.Plan
		want []string
	}{
		{"replace", sample(), []string{"# environment.dev will be updated with a new sandbox (commands that run now end)", "  -/+ process      a new one beside the old"}},
		{"update", with(only(0)), []string{"# environment.dev will be updated in-place"}},
		{"new part", with(only(2)), []string{"# environment.dev will be updated in-place"}},
		{"create", with(func(p *plan.Plan) { only(2)(p); p.Serial = 0 }), []string{"# environment.dev will be created"}},
		{"delete", with(func(p *plan.Plan) { only(5)(p); p.Mode = plan.Destroy }), []string{"# environment.dev will be destroyed", "  -   filesystem"}},
		{"rollback", with(func(p *plan.Plan) { p.Mode, p.Of = plan.Rollback, "3" }), []string{"# environment.dev will be rolled back to generation 3 with a new sandbox"}},
		{"load", with(func(p *plan.Plan) { only(0)(p); p.Mode, p.Of = plan.Load, "before" }), []string{"# environment.dev will be made what snapshot before holds"}},
		{"refresh only", with(func(p *plan.Plan) { p.Steps, p.Mode = nil, plan.RefreshOnly }), []string{
			"changed outside of Blast since the last apply: resource, network", "  ~   resource.limits", "pids.max                 64 -> 60  by systemd (pid 1)",
			"  -   network.policy  is gone, by nft (pid 7)", "This is a refresh-only plan: to apply it records this, and changes nothing on the host.",
		}},
		{"target", with(func(p *plan.Plan) { p.Scope.Targets = []string{"network", "resource.limits"} }), []string{
			"# Only: network, resource.limits and what that needs, as --target asks: not everything that blast.hcl says.",
		}},
		{"exclude", with(func(p *plan.Plan) { p.Scope.Excluded = []string{"packages"} }), []string{"# Without: packages and what needs that, as --exclude asks"}},
		{"nothing of a part", with(func(p *plan.Plan) {
			p.Steps, p.Drift, p.Scope.Targets, p.Scope.Blind = nil, nil, []string{"network"}, true
		}), []string{
			NoChanges, "Only: network and what that needs", "The host was not looked at, as --refresh=false asks",
		}},
		{"revision", with(func(p *plan.Plan) { p.Of = "HEAD~1" }), []string{"# environment.dev will be updated, compared with HEAD~1"}},
		{"variable", sample(), []string{"live  var.mirror (--var mirror)  blast.hcl:12"}},
	} {
		var b strings.Builder
		if err := Text(&b, tt.p, Style{}); err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, b.String())
			}
		}
	}
}
