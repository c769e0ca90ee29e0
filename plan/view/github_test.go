package view

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"blast.example/blast/plan"
)

func TestGitHubGolden(t *testing.T) {
	var b bytes.Buffer
	for _, a := range Annotations(sample(), Repository{Folder: "services/api"}) {
		fmt.Fprintln(&b, a)
	}
	golden(t, "github.commands", b.Bytes())
	b.Reset()
	if err := Outputs(&b, sample(), "d1"); err != nil {
		t.Fatal(err)
	}
	golden(t, "github.outputs", b.Bytes())
}

// GitHub shows ten of a level: the last tells of the others.
func TestAnnotationsAreBounded(t *testing.T) {
	n := map[string]int{}
	all := Annotations(large(10_000), Repository{})
	for _, a := range all {
		n[a.Level]++
		if strings.Contains(a.String(), "\n") {
			t.Errorf("%q is more than a line", a)
		}
	}
	if n["warning"] != maxAnnotations || n["notice"] != 2 || !strings.Contains(all[9].Message, "3326 more") {
		t.Errorf("%v, %v", n, all[9])
	}
}

// runner reads a file of outputs as GitHub's runner does.
func runner(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		name, end, ok := strings.Cut(lines.Text(), "<<")
		if !ok {
			t.Fatalf("%q", lines.Text())
		}
		var value []string
		for lines.Scan() && lines.Text() != end {
			value = append(value, lines.Text())
		}
		out[name] = strings.Join(value, "\n")
	}
	return out
}

func TestOutputsCannotBeInjected(t *testing.T) {
	var b bytes.Buffer
	evil := "d1\nblast_0123\nchanges=false\nchanges<<x\nfalse\nx"
	if err := Outputs(&b, sample(), evil); err != nil {
		t.Fatal(err)
	}
	got := runner(t, b.Bytes())
	if got["changes"] != "true" || got["plan-digest"] != evil || got["wider"] != "5" || got["drift"] != "2" || len(got) != 8 {
		t.Errorf("%q", got)
	}
	b.Reset()
	if err := Outputs(&b, plan.Plan{}, ""); err != nil {
		t.Fatal(err)
	}
	if got := runner(t, b.Bytes()); got["changes"] != "false" || len(got) != 7 {
		t.Errorf("%q", got)
	}
}

// command as the runner of GitHub's actions finds it.
func isCommand(text string) bool {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(l), "::") || strings.Contains(l, "##[") {
			return true
		}
	}
	return false
}

func TestUncommand(t *testing.T) {
	for _, s := range []string{"::error::x", "a\n  ::set-output name=x::y\n", "a ##[error]b", "##[##[", " \t::::", "::", "####[[x]"} {
		if !isCommand(s) || isCommand(Uncommand(s)) {
			t.Errorf("%q -> %q", s, Uncommand(s))
		}
	}
	for _, s := range []string{"", "a::b", "db.example:5432", "# [x]", "a :: b\n"} {
		if got := Uncommand(s); got != s {
			t.Errorf("%q -> %q", s, got)
		}
	}
}

// No form but the one that is made for it gives the runner a command.
func TestNoFormGivesCommands(t *testing.T) {
	p := sample()
	var b bytes.Buffer
	play(NewStream(&b, "0.1.0"))
	doc, err := Document(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(doc)
	if isCommand(b.String()) {
		t.Error(b.String())
	}
	for _, a := range Annotations(p, Repository{Folder: "##[group]"}) {
		if s := a.String(); strings.Contains(s, "##[") || strings.Contains(s, "\n") {
			t.Error(s)
		}
	}
}

func TestGitLabGolden(t *testing.T) {
	b, err := Report(sample())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "gitlab.json", b)
	if b, err = Quality(sample(), Repository{Folder: "services/api"}); err != nil {
		t.Fatal(err)
	}
	golden(t, "gitlab-quality.json", b)
	var issues []map[string]any
	if err := json.Unmarshal(b, &issues); err != nil || len(issues) != 5 {
		t.Errorf("%d issues, %v", len(issues), err)
	}
	seen := map[any]bool{}
	for _, i := range issues {
		if seen[i["fingerprint"]] {
			t.Errorf("two have the fingerprint %v", i["fingerprint"])
		}
		seen[i["fingerprint"]] = true
	}
}

// What an annotation says works on no terminal: a log is also read on one.
func TestAnnotationDrawsNothing(t *testing.T) {
	a := Annotation{Level: "error", Message: "a\n\u00a0::error::b\x1b[2J\u0085\v\ufeff\u202ec"}
	if got, want := a.String(), "::error::a%0A?::error::b?[2J????c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
