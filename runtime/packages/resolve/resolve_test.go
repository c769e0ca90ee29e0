package resolve_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/testfixtures/pypi"
)

// serve makes an index of lines like "a 1.0: b>=2, c; extra == 'x'", with "=> >=3.13" for
// requires-python.
func serve(t testing.TB, lines ...string) (*pypi.Index, string) {
	t.Helper()
	x := pypi.New()
	for _, l := range lines {
		add(t, x, l)
	}
	return x, pypi.Serve(t, x)
}

func add(t testing.TB, x *pypi.Index, l string) {
	t.Helper()
	l, python, _ := strings.Cut(l, " => ")
	head, needs, _ := strings.Cut(l, ": ")
	name, version, _ := strings.Cut(head, " ")
	version, tag, _ := strings.Cut(version, " ")
	w := pypi.Wheel{Name: name, Version: version, RequiresPython: python, Tag: tag}
	for _, r := range strings.Split(needs, ", ") {
		if r != "" {
			w.Requires = append(w.Requires, r)
		}
	}
	if err := x.Add(w); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		index []string
		asks  []string
		want  string
	}{
		"names are normalised":           {[]string{"Zope.Interface 1: b_b", "B.b 1"}, []string{"ZOPE_interface"}, "b-b 1, zope-interface 1"},
		"marker of a line":               {[]string{"a 1", "b 1"}, []string{"a", `b; python_version < "3.9"`}, "a 1"},
		"marker of a project":            {[]string{`a 1: b; sys_platform == "win32", c; python_version >= "3.12"`, "b 1", "c 1"}, []string{"a"}, "a 1, c 1"},
		"extra":                          {[]string{`a 1: b; extra == "X_y", c`, "b 1", "c 1"}, []string{"a[x-Y]"}, "a 1, b 1, c 1"},
		"extra not asked for":            {[]string{`a 1: b; extra == "x"`, "b 1"}, []string{"a"}, "a 1"},
		"extra that is not there":        {[]string{"a 1"}, []string{"a[nothing]"}, "a 1"},
		"extra of all extras":            {[]string{`a 1: a[x,y]; extra == "all", b; extra == "x", c; extra == "y"`, "b 1", "c 1"}, []string{"a[all]"}, "a 1, b 1, c 1"},
		"extras in a circle":             {[]string{`a 1: a[y]; extra == "x", a[x]; extra == "y", b; extra == "y"`, "b 1"}, []string{"a[x]"}, "a 1, b 1"},
		"projects in a circle":           {[]string{"a 1: b", "b 1: a"}, []string{"a"}, "a 1, b 1"},
		"needs itself":                   {[]string{"a 1: a>=1"}, []string{"a"}, "a 1"},
		"requires-python":                {[]string{"a 2 => >=3.13", "a 1 => >=3.8"}, []string{"a"}, "a 1"},
		"requires-python that is none":   {[]string{"a 1 => three"}, []string{"a"}, "a 1"},
		"wheel of another machine":       {[]string{"a 2 cp312-cp312-win_amd64", "a 1"}, []string{"a"}, "a 1"},
		"constraint":                     {[]string{"a 1: b", "b 3", "b 2"}, []string{"a", "-c b<3", "-c unused<1"}, "a 1, b 2"},
		"constraint with a marker":       {[]string{"a 2", "a 1"}, []string{"a", `-c a<2; python_version < "3"`}, "a 2"},
		"equal versions":                 {[]string{"a 1.0.0", "a 1.0 py3-none-linux_x86_64"}, []string{"a==1"}, "a 1.0"},
		"address in an extra not wanted": {[]string{`a 1: b @ https://x.example/b.whl ; extra == "x"`}, []string{"a"}, "a 1"},
		"address in an older version":    {[]string{"a 2: b @ https://x.example/b.whl", "a 1"}, []string{"a"}, "a 1"},
		"two lines, two extras":          {[]string{`a 1: b; extra == "x", c; extra == "y"`, "b 1", "c 1"}, []string{"a[x]", "a[y]"}, "a 1, b 1, c 1"},
		"only constraints":               {nil, []string{"-c a<2"}, ""},
		"nothing":                        {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, htmlOnly := range []bool{false, true} {
				x, root := serve(t, c.index...)
				x.HTMLOnly, x.NoMetadata = htmlOnly, htmlOnly
				if got := newSetup(t, root, c.asks...).must(t); got != c.want {
					t.Errorf("HTML %v: got %q, want %q", htmlOnly, got, c.want)
				}
			}
		})
	}
}

// TestPinned is what is installed: complete, and told apart from what others need.
// What pyproject.toml requires is held against the interpreter that version names.
func TestRequiresPython(t *testing.T) {
	s := newSetup(t, "")
	s.wishes.Manifest, s.wishes.Version, s.wishes.RequiresPython = "pyproject.toml", "3.12", ">=3.11"
	s.must(t)
	s.wishes.RequiresPython = ">=3.13"
	for _, want := range []string{"blast.hcl:2: No Python for this environment", `requires-python = ">=3.13"`, `version = "3.12" means Python 3.12.0`} {
		if got := s.fails(t); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// An extra that is not there is told, as it is mostly a slip.
func TestUnknownExtra(t *testing.T) {
	x := pypi.New()
	if err := x.Add(pypi.Wheel{Name: "a", Version: "1", Extras: []string{"async", "empty"}, Files: map[string]string{"a.py": ""}}); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, pypi.Serve(t, x), "a[empty]", "a[Asyn]")
	_, diags := s.resolve(t)
	got := text(diags)
	if want := "requirements.txt:2: Unknown extra"; len(diags) != 1 || diags.HasErrors() || !strings.Contains(got, want) || !strings.Contains(got, `Did you mean "async"?`) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPinned(t *testing.T) {
	x, root := serve(t, `a 1: b; extra == "x"`, "b 1")
	set, diags := newSetup(t, root, "a[x]").resolve(t)
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	a, b := set.Packages[0], set.Packages[1]
	if !a.Direct || b.Direct || !slices.Equal(a.Extras, []string{"x"}) || a.File != "a-1-py3-none-any.whl" || len(a.SHA256) != 64 || a.Size == 0 ||
		!strings.HasSuffix(a.URL, "/files/a-1-py3-none-any.whl") {
		t.Errorf("%+v\n%+v", a, b)
	}
	for _, want := range []string{"dependencies = [\n    { name = \"b\" },\n]", `requires-python = "==3.12.*"`, "direct = true", a.SHA256} {
		if !strings.Contains(set.Lock.Content, want) {
			t.Errorf("lock without %s:\n%s", want, set.Lock.Content)
		}
	}
	for _, q := range x.Requests() {
		if strings.HasSuffix(q.Path, ".whl") {
			t.Errorf("a wheel was fetched: %+v", q)
		}
	}
}

func TestBuildNumber(t *testing.T) {
	x, root := serve(t, "a 1")
	for _, build := range []string{"1", "2", "10"} {
		if err := x.Add(pypi.Wheel{Name: "a", Version: "1", Build: build}); err != nil {
			t.Fatal(err)
		}
	}
	set, _ := newSetup(t, root, "a").resolve(t)
	if set.Packages[0].File != "a-1-10-py3-none-any.whl" {
		t.Errorf("%+v", set.Packages)
	}
}

func TestYanked(t *testing.T) {
	x, root := serve(t, "a 2", "a 1", "b 1: a==2", "c 2", "c 1")
	for _, f := range []string{"a-2-py3-none-any.whl", "c-2-py3-none-any.whl"} {
		if err := x.Yank(f, "it deletes files"); err != nil {
			t.Fatal(err)
		}
	}
	if got := newSetup(t, root, "a").must(t); got != "a 1" {
		t.Errorf("took %s", got)
	}
	if got := newSetup(t, root, "a==2.0").must(t); got != "a 2" {
		t.Errorf("took %s", got)
	}
	for _, lines := range [][]string{{"a==2.*"}, {"a>=2"}, {"b"}} {
		if got := newSetup(t, root, lines...).fails(t); !strings.Contains(got, "a==2 can't be used (yanked: it deletes files)") {
			t.Errorf("%v: %s", lines, got)
		}
	}
	// What is locked stays when another line is added.
	s := newSetup(t, root, "c==2")
	s.keepLock(t)
	s.wishes.Requirements = newSetup(t, root, "c", "a").wishes.Requirements
	if got := s.must(t); got != "a 1, c 2" {
		t.Errorf("took %s", got)
	}
}

func TestHashes(t *testing.T) {
	_, root := serve(t, "a 2", "a 1", "b 1: a")
	set, _ := newSetup(t, root, "a==1").resolve(t)
	sum := set.Packages[0].SHA256
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		want  string
		lines []string
	}{
		{"a 1", []string{"a --hash=sha256:" + sum}},
		{"a 1", []string{"a --hash=sha256:" + other + " --hash=sha256:" + strings.ToUpper(sum)}},
		{"a 1, b 1", []string{"b", "-c a --hash=sha256:" + sum}},
	} {
		if got := newSetup(t, root, c.lines...).must(t); got != c.want {
			t.Errorf("%v: %s", c.lines, got)
		}
	}
	for _, hash := range []string{"sha256:" + other, "sha512:" + strings.Repeat("0", 128)} {
		if got := newSetup(t, root, "a --hash="+hash).fails(t); !strings.Contains(got, "every version of a can't be used (its hash is not among those of the requirements)") {
			t.Error(got)
		}
	}
}

// An empty file is no lock: the filesystem kind keeps the place of one with it.
func TestEmptyLockIsNone(t *testing.T) {
	_, root := serve(t, "a 1")
	s := newSetup(t, root, "a")
	s.writeLock(t, "")
	if got := s.must(t); got != "a 1" {
		t.Error(got)
	}
	s.writeLock(t, "\n")
	s.fails(t)
}

func TestLockIsReused(t *testing.T) {
	x, root := serve(t, "a 1: b", "b 1")
	s := newSetup(t, root, "a")
	first := s.keepLock(t)
	add(t, x, "a 2: b")
	add(t, x, "b 2")
	before := len(x.Requests())
	second, diags := s.resolve(t)
	if len(diags) > 0 || pinned(second) != "a 1, b 1" || second.Lock.Content != first.Lock.Content {
		t.Errorf("%s; %s", pinned(second), text(diags))
	}
	if n := len(x.Requests()); n != before {
		t.Errorf("the index was asked %d times", n-before)
	}
	// A line more: what is locked stays, where it fits.
	more := newSetup(t, root, "a", "-c zzz<1").wishes.Requirements
	s.wishes.Requirements = more
	if got := s.must(t); got != "a 1, b 1" {
		t.Errorf("another line: %s", got)
	}
	s.wishes.Requirements = newSetup(t, root, "a>1").wishes.Requirements
	if got := s.must(t); got != "a 2, b 1" {
		t.Errorf("a line that excludes what is locked: %s", got)
	}
	s.upgrade.All = true
	if got := s.must(t); got != "a 2, b 2" {
		t.Errorf("upgrade: %s", got)
	}
	s.upgrade.All = false
	s.wishes.Requirements = newSetup(t, root, "a").wishes.Requirements
	s.py = python(t, "3.11", 39)
	before = len(x.Requests())
	if got := s.must(t); got != "a 1, b 1" || len(x.Requests()) == before {
		t.Errorf("another interpreter: %s, %d requests", got, len(x.Requests())-before)
	}
}

// TestUpgradeOfOne leaves all others as the lock has them, where they fit.
func TestUpgradeOfOne(t *testing.T) {
	x, root := serve(t, "a 1: b", "b 1", "c 1: d", "d 1")
	s := newSetup(t, root, "a", "c")
	s.keepLock(t)
	for _, p := range []string{"a 2: b", "b 2", "c 2: d>=2", "d 2"} {
		add(t, x, p)
	}
	for _, u := range []struct{ name, want string }{
		{"b", "a 1, b 2, c 1, d 1"},
		{"a", "a 2, b 1, c 1, d 1"},
		{"c", "a 1, b 1, c 2, d 2"}, // which needs the new d
	} {
		s.upgrade.Only = []string{u.name}
		if got := s.must(t); got != u.want {
			t.Errorf("upgrade of %s: %s", u.name, got)
		}
	}
	s.upgrade.Only = []string{"bb"}
	if got := s.fails(t); !strings.Contains(got, "bb is to be upgraded, and neither a line nor pylock.blast.toml has it.") {
		t.Error(got)
	}
}

// TestRecordedIsPreferred: without a lock, what was applied stays.
func TestRecordedIsPreferred(t *testing.T) {
	_, root := serve(t, "a 2", "a 1")
	s := newSetup(t, root, "a")
	s.recorded = []plan.Object{plan.NewObject(packages.SetAddr, packages.Set{Packages: []packages.Pinned{{Name: "a", Version: "1"}}}, nil)}
	if got := s.must(t); got != "a 1" {
		t.Errorf("took %s", got)
	}
	s.upgrade.All = true
	if got := s.must(t); got != "a 2" {
		t.Errorf("upgrade: %s", got)
	}
}

func TestProgress(t *testing.T) {
	_, root := serve(t, "a 1: b", "b 1")
	s := newSetup(t, root, "a")
	s.must(t)
	if !slices.Equal(s.progress, []string{"resolving a", "resolving b"}) {
		t.Errorf("%q", s.progress)
	}
}

func TestCancel(t *testing.T) {
	x, root := serve(t, "a 1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x.Break("/simple/a/", pypi.Fault{Stall: true})
	s := newSetup(t, root, "a")
	done := make(chan hcl.Diagnostics)
	go func() {
		_, diags := s.resolveIn(ctx, t)
		done <- diags
	}()
	cancel()
	if got := text(<-done); !strings.Contains(got, "It was cancelled; nothing was changed.") {
		t.Error(got)
	}
}

// TestFetchedOnce: a page and a metadata file for each, whatever the search does.
func TestFetchedOnce(t *testing.T) {
	var lines []string
	for v := range 10 {
		lines = append(lines, fmt.Sprintf("a %d: b==%d", v, v))
	}
	x, root := serve(t, append(lines, "b 3: c", "c 1", "b 99")...)
	if got := newSetup(t, root, "a").must(t); got != "a 3, b 3, c 1" {
		t.Errorf("took %s", got)
	}
	seen := map[string]int{}
	for _, q := range x.Requests() {
		if seen[q.Path]++; seen[q.Path] > 1 {
			t.Errorf("%s was asked for again", q.Path)
		}
	}
}
