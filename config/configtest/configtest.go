// Package configtest lets the tests of a kind's words read a blast.hcl of a few
// lines, and write changes as what stood there before and after.
package configtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/plan"
)

// Project makes a folder with a blast.hcl and returns it free of symbolic links.
func Project(t testing.TB, src string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Load reads the project's blast.hcl with the words of one kind.
func Load(t testing.TB, dir string, w config.Words) ([]plan.Object, hcl.Diagnostics) {
	t.Helper()
	f, diags := config.Load(filepath.Join(dir, config.FileName), config.Options{Words: []config.Words{w}, UID: 1234, GID: 2345})
	if len(f.Environments) == 0 {
		return nil, diags
	}
	return f.Environments[0].Objects, diags
}

// Objects reads a flat blast.hcl that has no mistake.
func Objects(t testing.TB, w config.Words, src string) []plan.Object {
	t.Helper()
	objs, diags := Load(t, Project(t, src), w)
	if diags.HasErrors() {
		t.Fatalf("unexpected: %v", diags)
	}
	return objs
}

// Decode reads the attributes of one object.
func Decode[T any](t testing.TB, objs []plan.Object, addr string) T {
	t.Helper()
	var v T
	for _, o := range objs {
		if o.Addr != addr {
			continue
		}
		if err := o.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatalf("no object %s", addr)
	return v
}

// Describer is the part of a kind's words that these tests are about.
type Describer interface {
	config.Words
	Describe(c plan.Change) plan.Description
}

// Items writes the items of a change from one blast.hcl to another, one a line:
// name, action, direction, before and after. Without a before there was nothing.
func Items(t testing.TB, w Describer, before, after *string) string {
	t.Helper()
	sides := func(src *string) map[string]plan.Object {
		out := map[string]plan.Object{}
		if src != nil {
			for _, o := range Objects(t, w, *src) {
				out[o.Addr] = o
			}
		}
		return out
	}
	from, to := sides(before), sides(after)
	var b strings.Builder
	for _, o := range Objects(t, w, "") {
		c := plan.Change{Addr: o.Addr, From: from[o.Addr].Attrs, To: to[o.Addr].Attrs}
		if string(c.From) == string(c.To) {
			continue
		}
		for _, it := range w.Describe(c).Items {
			line := fmt.Sprintf("%s %s %s %q %q", it.Action.Sign(), it.Name, it.Access, it.Before, it.After)
			if it.Restart {
				line += " restart"
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// Junk gives Describe what no kind writes. It must neither panic nor be silent
// about what it can't read.
func Junk(t *testing.T, w Describer) {
	t.Helper()
	texts := []string{"", "null", "{}", "[]", `"text"`, "7", "{", `{"mounts":[{}],"egress":[{}],"ingress":[{}],"packages":[{}],"cpu":{},"memory":{},"io":{},"vars":{"A":""},"nofile":{}}`, "\xff\xfe"}
	for _, o := range Objects(t, w, "") {
		for _, from := range append(texts, string(o.Attrs)) {
			for _, to := range append(texts, string(o.Attrs)) {
				c := plan.Change{Addr: o.Addr}
				if from != "" {
					c.From = []byte(from)
				}
				if to != "" {
					c.To = []byte(to)
				}
				d := w.Describe(c)
				if (from == "{" || to == "{") && len(d.Items) == 0 {
					t.Errorf("%s: %q to %q: nothing said about what can't be read", o.Addr, from, to)
				}
			}
		}
	}
}
