package pep508_test

import (
	"errors"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/pep508"
)

func TestParse(t *testing.T) {
	r, err := pep508.Parse(` Foo.Bar [ zed,A_b, a-B ] ( >=1.0, != 1.5 ) ; python_version < "3.11" and (os_name == 'posix' or extra == "x")`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "Foo.Bar" || r.Key() != "foo-bar" || strings.Join(r.Extras, " ") != "A_b zed" || r.Specifiers.String() != "!=1.5,>=1.0" || !r.HasMarker() || !r.Marker.UsesExtra() {
		t.Errorf("%+v", r)
	}
	want := `Foo.Bar[A_b,zed]!=1.5,>=1.0; python_version < "3.11" and (os_name == "posix" or extra == "x")`
	if r.String() != want {
		t.Errorf("%s, want %s", r, want)
	}
	u, err := pep508.Parse(`name@https://example.com/a;b.whl#sha256=12 ; os.name=="nt"`)
	if err != nil || u.URL != "https://example.com/a;b.whl#sha256=12" || u.String() != `name @ https://example.com/a;b.whl#sha256=12 ; os_name == "nt"` {
		t.Errorf("%s, %v", u, err)
	}
}

func TestParseErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "a project's name must stand here, not the end"},
		{"-name", 0, `not '-'`},
		{"name 1.0", 5, "doesn't begin with a comparison"},
		{"name>=1.0 <2", 9, `' ' can't stand here`},
		{"name>=x", 6, "no version follows >="},
		{"name (>=1.0", 11, "not closed"},
		{"name ,>=1.0", 5, "nothing stands before the comma"},
		{"name[a", 6, "a comma or ]"},
		{"name[a,]", 7, "an extra's name"},
		{"name @ ", 7, "no URL follows @"},
		{"name @ http://x y", 16, "can't follow a URL"},
		{"name; ", 6, "a variable or a quoted text"},
		{`name; python_version > 3`, 23, `"3" is no variable`},
		{`name; os_name == "a`, 17, "quote is not closed"},
		{`name; os_name == "a\"`, 19, `'\\' can't stand in a quoted text`},
		{`name; "a" == "b"`, 13, "both sides are texts"},
		{`name; os_name not "a"`, 14, "a comparison must stand here"},
		{`name; os_name == "a" "b"`, 21, `join conditions`},
		{`name; (os_name == "a"`, 21, `")", "and" or "or"`},
		{"name; " + strings.Repeat("(", 200), 107, "nested deeper than 100"},
		{"name" + strings.Repeat(" ", 1<<17), 0, "longer than"},
	} {
		_, err := pep508.Parse(c.in)
		var e *pep508.SyntaxError
		if !errors.As(err, &e) || e.Offset != c.offset || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("Parse(%.30q): %v, want offset %d, %s", c.in, err, c.offset, c.reason)
		}
	}
}

func environment() pep508.Environment {
	return pep508.Environment{
		ImplementationName: "cpython", ImplementationVersion: "3.11.2", OSName: "posix", PlatformMachine: "x86_64",
		PlatformPythonImplementation: "CPython", PlatformRelease: "6.1.0-13-amd64", PlatformSystem: "Linux",
		PlatformVersion: "#1 SMP", PythonFullVersion: "3.11.2+", PythonVersion: "3.11", SysPlatform: "linux",
		Extras: []string{"Web_UI"}, DependencyGroups: []string{"test"},
	}
}

func TestEvaluate(t *testing.T) {
	for _, c := range []struct {
		marker string
		extras []string
		want   bool
	}{
		{`python_version >= "3.9"`, nil, true}, // as versions: as texts it is below
		{`python_version < "3.9"`, nil, false},
		{`"3.9" <= python_version`, nil, true},
		{`python_version in "3.10 3.11"`, nil, true},
		{`python_full_version > "3.11.2rc1"`, nil, true},
		{`python_full_version == "3.11.2"`, nil, true}, // a local label doesn't count
		{`platform_release >= "6"`, nil, false},        // no version: texts have no order
		{`sys_platform == "linux" and platform_machine != "arm64"`, nil, true},
		{`sys_platform > "a"`, nil, false},
		{`sys_platform >= "linux"`, nil, true},
		{`os_name == "nt" or os_name == "posix" and python_version == "2.7"`, nil, false}, // and binds closer
		{`(os_name == "nt" or os_name == "posix") and python_version == "3.11"`, nil, true},
		{`"lin" in sys_platform and "win" not in sys_platform`, nil, true},
		{`os_name == sys_platform`, nil, false},
		{`extra == "a_b"`, []string{"x", "A.B"}, true},
		{`extra == "a_b"`, []string{"x"}, false},
		{`extra == "a_b"`, nil, false},
		{`"web-ui" in extras and "test" in dependency_groups`, nil, true},
		{`"other" not in extras`, nil, true},
	} {
		m, err := pep508.ParseMarker(c.marker)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Evaluate(environment(), c.extras...)
		if err != nil || got != c.want || m.Eval(environment(), c.extras...) != c.want {
			t.Errorf("%s with %q is %v, %v", c.marker, c.extras, got, err)
		}
	}
}

func TestMeaninglessComparisons(t *testing.T) {
	for _, marker := range []string{`os_name ~= "posix"`, `sys_platform === "linux"`, `extras == "a"`, `"a" == extras`, `extras in "a"`} {
		m, err := pep508.ParseMarker(marker)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := m.Evaluate(environment()); err == nil || !strings.Contains(err.Error(), "evaluate marker") {
			t.Errorf("%s is %v, %v", marker, ok, err)
		}
		if m.Eval(environment()) {
			t.Errorf("%s holds", marker)
		}
	}
}

func TestApplies(t *testing.T) {
	always := pep508.Requirement{Name: "a"}
	if ok, err := always.Applies(environment()); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	var none *pep508.Marker
	if ok, err := none.Evaluate(environment()); !ok || err != nil || !none.Eval(environment()) {
		t.Errorf("the nil marker: %v, %v", ok, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`name[a,b]>=1.0,<2; python_version < "3.11" and (os_name == 'posix' or extra == "x")`, "name @ https://example.com/x ; os_name=='a'",
		"a(==1.*)", "name===x;sys.platform!='linux'", "n[", "n;(((", "n;not in",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := pep508.Parse(s)
		if err != nil {
			checkOffset(t, s, err)
			return
		}
		again, err := pep508.Parse(r.String())
		if err != nil || again.String() != r.String() || again.Key() != r.Key() || again.URL != r.URL || len(again.Extras) != len(r.Extras) {
			t.Errorf("%q is %q, read again %q, %v", s, r, again, err)
		}
	})
}

func FuzzParseMarker(f *testing.F) {
	for _, s := range []string{`python_version < "3.11" and (os_name == 'a"b' or extra == "x")`, `"3" in python_version`, `'a' not  in os.name`, "(((", `extras == extra`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := pep508.ParseMarker(s)
		if err != nil {
			checkOffset(t, s, err)
			return
		}
		again, err := pep508.ParseMarker(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q is %q, read again %q, %v", s, m, again, err)
		}
		x, xErr := m.Evaluate(environment(), "x")
		y, yErr := again.Evaluate(environment(), "x")
		if x != y || (xErr == nil) != (yErr == nil) {
			t.Errorf("%q is %v, %v; written again %v, %v", s, x, xErr, y, yErr)
		}
	})
}

func checkOffset(t *testing.T, s string, err error) {
	t.Helper()
	var e *pep508.SyntaxError
	if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s) {
		t.Fatalf("%q: %v at %d", s, err, e.Offset)
	}
}
