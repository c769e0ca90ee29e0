package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages/pylock"
)

func wishes(t *testing.T, dir string) Wishes {
	t.Helper()
	objs, diags := configtest.Load(t, dir, Words{})
	if diags.HasErrors() {
		t.Fatalf("unexpected: %v", diags)
	}
	return configtest.Decode[Set](t, objs, SetAddr).Wishes
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDefaultHasNoPackage(t *testing.T) {
	want := Wishes{Index: []string{"https://pypi.org/simple"}, LockPath: "pylock.blast.toml"}
	for _, src := range []string{"", "python {\n}\n"} {
		if d := cmp.Diff(want, wishes(t, configtest.Project(t, src))); d != "" {
			t.Errorf("%q: %s", src, d)
		}
	}
}

func TestWishes(t *testing.T) {
	dir := configtest.Project(t, `python {
  version  = "3.11"
  manifest = "requirements.txt"
  index    = ["https://a.example/simple/", "http://127.0.0.1:8080/simple", "https://a.example/simple"]
  lock     = "locks/pylock.toml"
}
package "Requests" {
  version = "~= 2.32"
  extras  = ["socks", "socks"]
  marker  = "python_version >= '3.9'"
}
`)
	write(t, dir, map[string]string{
		"requirements.txt": "# a comment\nflask>=3\n-r more.txt\n-c limits.txt\n",
		"more.txt":         "\nattrs==23.1 --hash=sha256:" + strings.Repeat("a", 64) + "\n",
		"limits.txt":       "werkzeug<4\n",
	})
	want := Wishes{
		Version: "3.11", Manifest: "requirements.txt", LockPath: "locks/pylock.toml",
		Index: []string{"https://a.example/simple", "http://127.0.0.1:8080/simple"},
		Requirements: []Requirement{
			{Text: "flask>=3", Place: "requirements.txt:2"},
			{Text: "attrs==23.1", Place: "more.txt:2", Hashes: []string{"sha256:" + strings.Repeat("a", 64)}},
			{Text: "werkzeug<4", Place: "limits.txt:1", Constraint: true},
			{Text: `Requests[socks]~=2.32; python_version >= "3.9"`, Place: "blast.hcl:7"},
		},
	}
	if d := cmp.Diff(want, wishes(t, dir)); d != "" {
		t.Error(d)
	}
}

func TestPyproject(t *testing.T) {
	dir := configtest.Project(t, "python {\n  manifest = \"pyproject.toml\"\n}\n")
	write(t, dir, map[string]string{"pyproject.toml": "[project]\nname = \"shop\"\nversion = \"1\"\nrequires-python = \">= 3.9\"\ndependencies = [\n  \"flask>=3\",\n]\n"})
	if w := wishes(t, dir); w.RequiresPython != ">=3.9" {
		t.Errorf("requires-python is %q", w.RequiresPython)
	}
	got := wishes(t, dir).Requirements
	if len(got) != 1 || got[0].Text != "flask>=3" || !strings.HasPrefix(got[0].Place, "pyproject.toml:") {
		t.Errorf("%+v", got)
	}
}

// TestPartsOfPyproject: groups, extras of the project, and what is said about versions.
func TestPartsOfPyproject(t *testing.T) {
	const text = `[project]
name = "shop"
version = "1"
dependencies = ["flask"]
[project.optional-dependencies]
Post_Gres = ["psycopg"]
[dependency-groups]
lint = ["ruff"]
dev = ["pytest", { include-group = "lint" }]
`
	dir := configtest.Project(t, `python {
  manifest    = "pyproject.toml"
  extras      = ["post-gres"]
  groups      = ["DEV"]
  constraints = ["urllib3 < 2"]
  overrides   = ["numpy == 1.26.*"]
  cooldown    = "7d"
  registry "corp" {
    url      = "https://pypi.example.com/simple/"
    packages = ["Corp_*", "b.c"]
  }
}
`)
	write(t, dir, map[string]string{"pyproject.toml": text})
	want := Wishes{
		Manifest: "pyproject.toml", LockPath: "pylock.blast.toml", Index: []string{"https://pypi.org/simple"}, Cooldown: 7 * 24 * 3600,
		Registries: []Registry{{Name: "corp", URL: "https://pypi.example.com/simple", Packages: []string{"corp-*", "b-c"}}},
		Requirements: []Requirement{
			{Text: "flask", Place: "pyproject.toml:4"},
			{Text: "psycopg", Place: "pyproject.toml:6"},
			{Text: "pytest", Place: "pyproject.toml:9"},
			{Text: "ruff", Place: "pyproject.toml:8"},
			{Text: "urllib3<2", Place: "blast.hcl:5", Constraint: true},
			{Text: "numpy==1.26.*", Place: "blast.hcl:6", Override: true},
		},
	}
	if d := cmp.Diff(want, wishes(t, dir)); d != "" {
		t.Error(d)
	}
	dir = configtest.Project(t, "python {\n  manifest = \"pyproject.toml\"\n  groups = [\"devv\"]\n}\n")
	write(t, dir, map[string]string{"pyproject.toml": text})
	_, diags := configtest.Load(t, dir, Words{})
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, `Did you mean "dev"?`) || diags[0].Subject.Start.Line != 3 {
		t.Error(diags)
	}
}

// Each mistake has its place, and a sentence with the fix.
func TestMistakes(t *testing.T) {
	for src, want := range map[string]string{
		"python {\n  version = \"three\"\n}\n":                                                             "Invalid Python version",
		"python {\n  index = []\n}\n":                                                                      "Empty list",
		"python {\n  index = [\"pypi.org/simple\"]\n}\n":                                                   "Invalid index",
		"python {\n  index = [\"ftp://pypi.org/simple\"]\n}\n":                                             "Invalid index",
		"python {\n  index = [\"https://pypi.org/simple?x=1\"]\n}\n":                                       "Invalid index",
		"python {\n  index = [\"https://me:pw@pypi.org/simple\"]\n}\n":                                     "Credentials in an address",
		"python {\n  lock = \"../pylock.toml\"\n}\n":                                                       "Path outside of the project",
		"python {\n  lock = \"blast.hcl\"\n}\n":                                                            "Invalid lock file",
		"python {\n  manifest = \"/etc/passwd\"\n}\n":                                                      "Path outside of the project",
		"python {\n  manifest = \"absent.txt\"\n}\n":                                                       "File can't be read",
		"python {\n  manifest = \"link.txt\"\n}\n":                                                         "File can't be read",
		"python {\n  on_import = \"install\"\n}\n":                                                         "Not supported yet",
		"python {\n  registry \"x\" {\n    url = \"x\"\n    packages = [\"a\"]\n  }\n}\n":                  "Invalid index",
		"python {\n  registry \"x\" {\n    url = \"https://x/simple\"\n    packages = [\"*\"]\n  }\n}\n":   "Invalid package name",
		"python {\n  registry \"x\" {\n    url = \"https://x/simple\"\n    packages = [\"a b\"]\n  }\n}\n": "Invalid package name",
		"python {\n  registry \"x\" {\n    url = \"https://x/simple\"\n    packages = []\n  }\n}\n":        "Empty list",
		"python {\n  registry \"x\" {\n    url = \"https://x/simple\"\n  }\n}\n":                           "Missing",
		"python {\n  groups = [\"dev\"]\n}\n":                                                              "No pyproject.toml",
		"python {\n  constraints = [\"a 2\"]\n}\n":                                                         "Invalid requirement",
		"python {\n  overrides = [\"a[x]==2\"]\n}\n":                                                       "Invalid requirement",
		"package \"requests==2\" {\n}\n":                                                                   "Invalid package name",
		"package \"requests\" {\n  version = \"2.32\"\n}\n":                                                "Version without an operator",
		"package \"requests\" {\n  version = \"=> 2\"\n}\n":                                                "Invalid version specifier",
		"package \"requests\" {\n  extras = [\"a b\"]\n}\n":                                                "Invalid extra",
		"package \"requests\" {\n  marker = \"python > 3\"\n}\n":                                           "Invalid marker",
		"package \"a.b\" {\n}\npackage \"A-b\" {\n}\n":                                                     "Duplicate",
	} {
		dir := configtest.Project(t, src)
		if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link.txt")); err != nil {
			t.Fatal(err)
		}
		_, diags := configtest.Load(t, dir, Words{})
		if len(diags) != 1 || !strings.HasPrefix(diags[0].Summary, want) || diags[0].Subject == nil || !strings.HasSuffix(diags[0].Detail, ".") {
			t.Errorf("%s: %v\nwant %q", src, diags, want)
		}
		if strings.Contains(diags.Error(), "pw") {
			t.Errorf("a password is repeated: %v", diags)
		}
	}
}

// A mistake in a manifest points into the manifest.
func TestMistakesInManifests(t *testing.T) {
	for text, place := range map[string]string{
		"flask\n\nrequests==\n":        "requirements.txt:3",
		"-r absent.txt\n":              "requirements.txt:1",
		"-r ../outside.txt\n":          "requirements.txt:1",
		"--index-url https://x/simple": "requirements.txt:1",
		"-e .\n":                       "requirements.txt:1",
	} {
		dir := configtest.Project(t, "python {\n  manifest = \"requirements.txt\"\n}\n")
		write(t, dir, map[string]string{"requirements.txt": text})
		_, diags := configtest.Load(t, dir, Words{})
		if len(diags) != 1 || diags[0].Subject == nil || !strings.HasPrefix(place, diags[0].Subject.Filename) || diags[0].Subject.Start.Line != int(place[len(place)-1]-'0') {
			t.Errorf("%q: %v\nwant it at %s", text, diags, place)
		}
	}
}

func change(from, to *Set) plan.Change {
	c := plan.Change{Addr: SetAddr}
	if from != nil {
		c.From = plan.NewObject(SetAddr, from, nil).Attrs
	}
	if to != nil {
		c.To = plan.NewObject(SetAddr, to, nil).Attrs
	}
	return c
}

func TestDescribe(t *testing.T) {
	py := Interpreter{Path: "/usr/bin/python3.11", Version: "3.11.2"}
	a := Set{Python: py, Packages: []Pinned{{Name: "flask", Version: "3.1.2", Direct: true, SHA256: "1"}, {Name: "werkzeug", Version: "3.0", SHA256: "2"}}}
	b := Set{Python: py, Packages: []Pinned{{Name: "flask", Version: "3.1.3", Direct: true, SHA256: "3"}, {Name: "jinja2", Version: "3.1", SHA256: "4"}}}
	if got, want := (Words{}).Describe(change(nil, &a)).Summary, "python 3.11.2 (host), flask 3.1.2, 1 they need"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var got []string
	for _, it := range (Words{}).Describe(change(&a, &b)).Items {
		if it.Access != plan.Same || it.Restart {
			t.Errorf("%s: a package is no access and needs no restart", it.Name)
		}
		got = append(got, it.Action.Sign()+" "+it.Name+" "+it.Before+">"+it.After)
	}
	if d := cmp.Diff([]string{"~ package.flask 3.1.2>3.1.3", "+ package.jinja2 >3.1", "- package.werkzeug 3.0>"}, got); d != "" {
		t.Error(d)
	}
	same := a
	same.Wishes.Requirements = []Requirement{{Text: "flask>=3.1"}}
	if its := (Words{}).Describe(change(&a, &same)).Items; len(its) != 1 || its[0].After != "flask>=3.1" {
		t.Errorf("another wish with the same answer: %+v", its)
	}
}

// reason is why an item of a change is there.
func reason(items []plan.Item, name string) string {
	for _, it := range items {
		if it.Name == name {
			return string(it.Cause) + ": " + it.Because
		}
	}
	return "no item"
}

func TestDescribeTellsWhy(t *testing.T) {
	set := func(requirement string, versions ...string) Set { // flask needs werkzeug, which needs markupsafe
		s := Set{Python: Interpreter{Version: "3.11.2"}, Wishes: Wishes{Requirements: []Requirement{{Text: requirement}, {Text: "attrs"}}}}
		var lock pylock.File
		for i, name := range []string{"attrs", "flask", "markupsafe", "werkzeug"} {
			p := pylock.Package{Name: name, Version: versions[i], Wheels: []pylock.Wheel{{Name: name + "-" + versions[i] + "-py3-none-any.whl", URL: "https://x/y.whl", SHA256: strings.Repeat("ab", 32)}}}
			if n := map[string]string{"flask": "werkzeug", "werkzeug": "markupsafe"}[name]; n != "" {
				p.Dependencies = []pylock.Dependency{{Name: n}}
			}
			if p.Version != "0" {
				lock.Packages = append(lock.Packages, p)
				s.Packages = append(s.Packages, Pinned{Name: name, Version: versions[i], SHA256: versions[i]})
			}
		}
		s.Lock.Content = string(pylock.Encode(lock))
		return s
	}
	before := set("flask", "1", "1", "1", "1")
	for _, c := range []struct {
		name string
		to   Set
		want map[string]string // of packages
	}{
		{"updates", set("flask", "2", "2", "2", "2"), map[string]string{
			"attrs": "package: package update", "flask": "package: package update",
			"werkzeug": "package: package update, needed by flask", "markupsafe": "package: package update, needed by werkzeug",
		}},
		{"another wish", set("flask>=2", "2", "2", "2", "2"), map[string]string{
			"attrs": "package: package update", "flask": ": ",
			"werkzeug": "configuration: needed by flask", "markupsafe": "configuration: needed by werkzeug",
		}},
		{"one that is not needed any more", set("flask", "1", "2", "0", "1"), map[string]string{
			"flask": "package: package update", "markupsafe": "package: was needed by werkzeug",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			items := (Words{}).Describe(change(&before, &c.to)).Items
			for name, want := range c.want {
				if got := reason(items, "package."+name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
	for name, c := range map[string]struct {
		change func(*Set)
		item   string
		want   string
	}{
		"another file":         {func(s *Set) { s.Packages[0].SHA256 = "other" }, "package.attrs", "package: another file of the same version"},
		"another Python":       {func(s *Set) { s.Python.Version = "3.11.3" }, "python", "package: the host has another Python"},
		"another Python asked": {func(s *Set) { s.Python.Version, s.Wishes.Version = "3.12.1", "3.12" }, "python", ": "},
		"another index":        {func(s *Set) { s.Wishes.Index, s.Packages[0].Version = []string{"https://other/simple"}, "2" }, "package.attrs", ": "},
		"an unreadable lock":   {func(s *Set) { s.Lock.Content, s.Packages[3].Version = "[", "2" }, "package.werkzeug", "package: package update, needed by flask"},
	} {
		to := set("flask", "1", "1", "1", "1")
		c.change(&to)
		if got := reason((Words{}).Describe(change(&before, &to)).Items, c.item); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Where a line stands is nothing that is applied.
func TestLinkDropsPlaces(t *testing.T) {
	set := Set{Wishes: Wishes{Requirements: []Requirement{{Text: "flask", Place: "requirements.txt:1"}}}}
	out := (Words{}).Link(kinds.LinkInput{Objects: []plan.Object{plan.NewObject(SetAddr, set, nil)}})
	if got := configtest.Decode[Set](t, out, SetAddr); got.Wishes.Requirements[0].Place != "" {
		t.Errorf("%+v", got.Wishes)
	}
}

func TestJunk(t *testing.T) { configtest.Junk(t, Words{}) }
