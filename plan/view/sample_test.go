package view

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./plan/view -update writes it):\n%s", path, diff)
	}
}

func raw(format string, args ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, args...))
}

// hostile is a name that tries to get out of every form at once.
const hostile = "x`` ```\n</details>\n<!-- blast-plan: prod --> @octocat [a](http://evil.example) ::error::no ##[set-output name=changes]false \x1b[2J\u202e<script>|**b**|&amp;"

// sample has every action, cause, direction and mark that a plan can have.
func sample() plan.Plan {
	items := []plan.Item{
		{Name: "egress.database", Action: plan.Create, After: "db.example:5432", Access: plan.Widen, Place: "blast.hcl:7", Cause: plan.ByConfiguration},
		{Name: "egress.mirror", Action: plan.Update, Before: "a.example:443", After: "b.example:443", Access: plan.Both, Place: "blast.hcl:12", Cause: plan.ByVariable, Because: "var.mirror (--var mirror)"},
		{Name: "egress.old", Action: plan.Delete, Before: "old.example:80", Access: plan.Narrow, Place: "blast.hcl:5", Cause: plan.ByConfiguration},
		{Name: "egress." + hostile, Action: plan.Create, After: hostile, Access: plan.Widen, Place: hostile + ":3", Because: hostile},
		{Name: "ingress.web.reason", Action: plan.Update, Before: hostile, After: "b", Place: "blast.hcl:20", Because: hostile},
	}
	return plan.Plan{
		Version: plan.FormatVersion, Env: "dev", Mode: plan.Normal, Lineage: "6f1c", Serial: 4, Recorded: true, Keep: 10,
		Basis: plan.Basis{
			Files: map[string]string{"blast.hcl": "aa", "values.json": "bb"}, Variables: map[string]string{"mirror": "cc"},
			Objects: "dd", Lock: "ee", Host: map[string]string{"kernel": "6.18.1", "arch": "amd64", "cgroups": "v2", plan.Machine: "0123"},
		},
		Desired: []plan.Object{
			{Addr: "resource.limits", Attrs: raw(`{"pids":65}`), Src: map[string]string{"": "blast.hcl:30"}},
			{Addr: "resource.rlimits", Attrs: raw(`{"nofile":1024}`), Src: map[string]string{"": "blast.hcl:35"}},
			{Addr: "network.policy", Attrs: raw(`{"default":"deny","egress":[1,2]}`), Needs: []string{"network.namespace"}},
			{Addr: "process.sandbox", Attrs: raw(`{"uid":0,"user":"root"}`)},
			{Addr: "process.environment", Attrs: raw(`{"vars":{"TOKEN":"hush","MODE":"test"}}`), Needs: []string{"process.sandbox"}},
			{Addr: "packages.set", Attrs: raw(`{"packages":["flask"]}`)},
		},
		Steps: []plan.Step{
			{
				Change: plan.Change{Addr: "resource.limits", From: raw(`{"pids":60}`), To: raw(`{"pids":65}`)}, Action: plan.Update, Drift: true, Place: "blast.hcl:30", Summary: "65 processes",
				Items: []plan.Item{{Name: "pids.max", Action: plan.Update, Before: "60", After: "65", Access: plan.Widen, Place: "blast.hcl:31", Cause: plan.ByDrift, Because: plan.Outside + ", not known by whom"}},
				Notes: []string{"memory.high without swap throttles to a near-hang"},
			},
			{Change: plan.Change{Addr: "network.policy", From: raw(`{"default":"deny","egress":[1]}`), To: raw(`{"default":"deny","egress":[1,2]}`)}, Action: plan.Update, Place: "blast.hcl:3", Summary: "rejects all", Items: items},
			{
				Change: plan.Change{Addr: "packages.set", To: raw(`{"packages":["flask"]}`)}, Action: plan.Create, Place: "blast.hcl:40", Summary: "Python 3.13, flask 3.1.2",
				Items: []plan.Item{{Name: "package.flask", Action: plan.Create, After: "3.1.2", Cause: plan.ByPackage, Because: "a newer one fits"}},
			},
			{
				Change: plan.Change{Addr: "process.sandbox", From: raw(`{"uid":65534,"user":"nobody"}`), To: raw(`{"uid":0,"user":"root"}`)}, Action: plan.Replace, Place: "blast.hcl:50", Summary: "as root",
				Items: []plan.Item{{Name: "user", Action: plan.Update, Before: "nobody", After: "root", Access: plan.Widen, Restart: true, Place: "blast.hcl:51", Cause: plan.ByConfiguration}},
			},
			{
				Change: plan.Change{Addr: "process.environment", From: raw(`{"vars":{"TOKEN":"old"}}`), To: raw(`{"vars":{"TOKEN":"hush","MODE":"test"}}`)}, Action: plan.Update, Place: "blast.hcl:60",
				Items: []plan.Item{
					{Name: "env.MODE", Action: plan.Create, Place: "blast.hcl:61", Cause: plan.ByGeneration},
					{Name: "env.TOKEN", Action: plan.Update, Place: "blast.hcl:62", Cause: plan.BySnapshot},
					{Name: "secret.KEY", Action: plan.Update, After: "value changed", Place: "blast.hcl:63", Cause: plan.BySecret, Because: "the value of the secret is another one"},
				},
			},
			{Change: plan.Change{Addr: "filesystem.tree", From: raw(`{"mounts":[]}`)}, Action: plan.Delete, Place: "blast.hcl:70", Summary: ". read-write at /workspace"},
		},
		Drift: []plan.Step{
			{
				Change: plan.Change{Addr: "resource.limits", From: raw(`{"pids":64}`), To: raw(`{"pids":60}`)}, Action: plan.Update, Drift: true, Place: "blast.hcl:30",
				Items: []plan.Item{{Name: "pids.max", Action: plan.Update, Before: "64", After: "60", Access: plan.Narrow, Cause: plan.ByDrift, Because: plan.Outside + ", by systemd (pid 1)"}},
			},
			{
				Change: plan.Change{Addr: "network.policy", From: raw(`{"default":"deny","egress":[1]}`)}, Action: plan.Delete, Drift: true, Place: "blast.hcl:3",
				Items: []plan.Item{{Name: "policy", Action: plan.Delete, Cause: plan.ByDrift, Because: "by nft (pid 7)"}},
			},
		},
	}
}

// hideVars hides what the process kind hides.
func hideVars(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage) {
	if addr != "process.environment" {
		return attrs, nil
	}
	return raw(`{"vars":{"TOKEN":"(sensitive value)"}}`), raw(`{"vars":{"TOKEN":true}}`)
}

// large is a plan with n items, a third of which widen.
func large(n int) plan.Plan {
	p := sample()
	s := &p.Steps[1]
	s.Items = nil
	for i := range n {
		it := plan.Item{Name: fmt.Sprintf("egress.rule_%05d", i), Action: plan.Create, After: fmt.Sprintf("host%d.example:443", i), Place: fmt.Sprintf("blast.hcl:%d", i+1)}
		switch i % 3 {
		case 1:
			it.Access = plan.Narrow
		case 2:
			it.Access = plan.Widen
		}
		s.Items = append(s.Items, it)
	}
	return p
}
