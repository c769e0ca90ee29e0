package filesystem

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

// What is no path is a pattern; a path with such characters in it can be written, too.
func TestPatternsOfTheWorkspace(t *testing.T) {
	dir := project(t, `workspace {
  hide      = ["*.pem", "config/*.key", "./*.txt", "**/tokens/", "a\\[1\\]", "secrets", "*.pem"]
  read_only = ["**/*.lock"]
  show      = [".env"]
}`)
	got := tree(t, dir)
	except := []string{".env"}
	want := []Pattern{
		{Name: "workspace.hide", Type: Hide, Glob: "*.pem", Except: except},
		{Name: "workspace.hide", Type: Hide, Glob: "/config/*.key", Except: except},
		{Name: "workspace.hide", Type: Hide, Glob: "/*.txt", Except: except},
		{Name: "workspace.hide", Type: Hide, Glob: "/**/tokens", Dir: true, Except: except},
		{Name: "workspace.read_only", Type: ReadOnly, Glob: "/**/*.lock", Except: except},
	}
	if d := cmp.Diff(want, got.Patterns); d != "" {
		t.Error(d)
	}
	for _, target := range []string{"/workspace/a[1]", "/workspace/secrets"} {
		if m, ok := got.at(target); !ok || m.Type != Hide {
			t.Errorf("%s: %+v", target, m)
		}
	}
	for i, text := range []string{"*.pem", "config/*.key", "./*.txt", "**/tokens/", "**/*.lock"} {
		if p := got.Patterns[i]; p.Text() != text || !newPattern(p.Text(), p.Type, p.Except).same(p) {
			t.Errorf("%+v is written %q", p, p.Text())
		}
	}
}

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		text, path   string
		folder, want bool
	}{
		{"*.pem", "a.pem", false, true},
		{"*.pem", "a/b/c.pem", false, true},
		{"*.pem", "a.pem/b", false, false}, // a.pem is matched, and with it what lies below
		{"*.pem", "a.PEM", false, false},
		{"./*.pem", "a.pem", false, true},
		{"./*.pem", "a/b.pem", false, false},
		{"a/*", "a/b", false, true},
		{"a/*", "a/b/c", false, false},
		{"a/**", "a", true, true},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "a/x/b/c/b", false, true},
		{"a/**/b", "a/x/b/c", false, false},
		{"s*/", "secrets", true, true},
		{"s*/", "secrets", false, false},
		{"*", ".env", false, false}, // opened
		{"*", ".envrc", false, true},
	} {
		if got := newPattern(c.text, Hide, []string{".env"}).Match(c.path, c.folder); got != c.want {
			t.Errorf("%s, %s: %v", c.text, c.path, got)
		}
	}
}

// A mount can't show, nor lie in, what a pattern protects.
func TestMountsOfWhatPatternsProtect(t *testing.T) {
	for _, mount := range []string{"mount \"/opt/x\" {\n source = \"secrets\"\n}", "mount \"/workspace/secrets\" {\n source = \"src\"\n}", "tmpfs \"/workspace/secrets/x\" {\n size = \"1MiB\"\n}"} {
		for hide, want := range map[string]int{"sec*": 1, "**/secrets/": 1, "s?cret": 0} {
			_, diags := configtest.Load(t, project(t, "workspace {\n  hide = [\""+hide+"\"]\n}\n"+mount), Words{})
			if len(diags) != want || want == 1 && diags[0].Summary != "Protected path" {
				t.Errorf("%s, %s: %v", hide, mount, diags)
			}
		}
	}
}

func TestTooManyPatterns(t *testing.T) {
	var all []string
	for i := range maxPatterns + 1 {
		all = append(all, fmt.Sprintf("%q", fmt.Sprint("*", i)))
	}
	_, diags := configtest.Load(t, project(t, "workspace {\n  hide = ["+strings.Join(all, ", ")+"]\n}"), Words{})
	if len(diags) == 0 || diags[0].Summary != "Too many patterns" || diags[0].Subject == nil {
		t.Error(diags)
	}
	if _, diags = configtest.Load(t, project(t, "workspace {\n  hide = ["+strings.Join(all[1:], ", ")+"]\n}"), Words{}); diags.HasErrors() {
		t.Error(diags)
	}
}

// One pattern more is narrower, one less is wider, and in a new environment it is usual.
func TestDescribePatterns(t *testing.T) {
	bare := tree(t, project(t, "workspace {\n}"))
	with := bare
	with.Patterns = []Pattern{newPattern("*.pem", Hide, nil), newPattern("**/gen/", ReadOnly, nil)}
	says := func(from, to *Tree) []string {
		c := plan.Change{Addr: TreeAddr}
		if from != nil {
			c.From = plan.NewObject(TreeAddr, *from, nil).Attrs
		}
		if to != nil {
			c.To = plan.NewObject(TreeAddr, *to, nil).Attrs
		}
		var all []string
		for _, it := range (Words{}).Describe(c).Items {
			all = append(all, it.Name+" "+string(it.Access)+" "+it.Before+it.After)
		}
		return all
	}
	if got := says(&bare, &with); !slices.Equal(got, []string{"workspace.hide narrow *.pem hidden", "workspace.read_only narrow **/gen/ read-only"}) {
		t.Errorf("%q", got)
	}
	if got := says(&with, &bare); !slices.Equal(got, []string{"workspace.hide widen *.pem hidden", "workspace.read_only widen **/gen/ read-only"}) {
		t.Errorf("%q", got)
	}
	if got := says(nil, &with); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
