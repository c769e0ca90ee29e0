package pep440_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/pep440"
)

// ordered is every kind of version, lowest first (PEP 440, "Summary of permitted
// suffixes and relative ordering").
var ordered = []string{
	"0.dev0", "0.1", "1.dev0", "1.0.dev456", "1.0a1.dev2", "1.0a1", "1.0a2.dev456", "1.0a12", "1.0b1.dev1", "1.0b2", "1.0b2.post345.dev456",
	"1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5", "1.0+5.a", "1.0.post456.dev34", "1.0.post456",
	"1.0.15", "1.1.dev1", "1.1.dev20230101120000123456", "1.1", "9.9", "10.0", "20230101", "1!0.1",
}

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := parse(t, a).Compare(parse(t, b)); got != want {
				t.Errorf("%s against %s is %d, want %d", a, b, got, want)
			}
		}
	}
	if (pep440.Version{}).Compare(parse(t, "0.dev0")) != -1 {
		t.Error("the zero Version is not below all")
	}
}

func TestNormalForm(t *testing.T) {
	for in, want := range map[string]string{
		"v1.0":                 "1.0",
		"\t1.0\n":              "1.0",
		"01.002.0":             "1.2.0",
		"1.0-ALPHA.1":          "1.0a1",
		"1.0preview3":          "1.0rc3",
		"1.0c":                 "1.0rc0",
		"1.0-7":                "1.0.post7",
		"1.0rev":               "1.0.post0",
		"1.0_dev_2":            "1.0.dev2",
		"1.0+Ubuntu-01_x":      "1.0+ubuntu.1.x",
		"0!1":                  "1",
		"7!1":                  "7!1",
		"1.0a.post":            "1.0a0.post0",
		"99999999999999999999": "99999999999999999999",
	} {
		v := parse(t, in)
		if v.String() != want {
			t.Errorf("%q is %s, want %s", in, v, want)
		}
		if v.Text() != in {
			t.Errorf("%q as written is %q", in, v.Text())
		}
	}
}

func TestParts(t *testing.T) {
	v := parse(t, "2!1.20.rc3.post4.dev5+local.1")
	if v.Epoch() != "2" || len(v.Release()) != 2 || v.ReleaseAt(1) != 20 || v.ReleaseAt(5) != 0 || v.ReleaseAt(-1) != 0 || v.Local() != "local.1" {
		t.Errorf("parts of %s", v)
	}
	if !v.IsPrerelease() || !v.IsDev() || !v.IsPost() || v.IsZero() || v.Public().String() != "2!1.20rc3.post4.dev5" {
		t.Errorf("kinds of %s; public %s", v, v.Public())
	}
	v.Release()[0] = "9"
	if v.ReleaseAt(0) != 1 {
		t.Error("Release gives its own slice away")
	}
	if pep440.Number("99999999999999999999").Int() != math.MaxInt || pep440.Number("").Int() != 0 {
		t.Error("Int of numbers without one")
	}
	var w pep440.Version
	if err := w.UnmarshalText([]byte("1.0-rc1")); err != nil || w.String() != "1.0rc1" {
		t.Errorf("%s, %v", w, err)
	}
	if b, err := w.MarshalText(); err != nil || string(b) != "1.0rc1" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "empty"},
		{"1.0 .0", 3, `' ' can't stand here`},
		{" 1.x", 2, `'.' can't stand here`},
		{"1.0+", 4, "ends too early"},
		{"1.0+ü", 4, `'ü' can't stand here`},
		{"abc", 0, `'a' can't stand here`},
		{strings.Repeat("1", 5000), 0, "longer than 1024 bytes"},
	} {
		_, err := pep440.Parse(c.in)
		var e *pep440.SyntaxError
		if !errors.As(err, &e) || e.Offset != c.offset || !strings.Contains(err.Error(), c.reason) || e.Fix == "" {
			t.Errorf("Parse(%.20q): %v, want offset %d, %s", c.in, err, c.offset, c.reason)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
	for _, c := range []struct {
		in     string
		offset int
		reason string
	}{
		{">=1.0, 2.0", 7, "doesn't begin with a comparison"},
		{">=1.0 <2", 5, `' ' can't stand here`},
		{">=1.0,==", 8, "no version follows =="},
		{"~=1", 2, "two release numbers"},
		{">=1.*", 2, `".*" can't follow >=`},
		{"==1.0a1.*", 2, "only follow release numbers"},
		{">=1.0+x", 2, "local label"},
		{"===", 3, "nothing follows ==="},
		{"===a b", 4, "can't stand in the text"},
		{"=1.0", 0, "doesn't begin"},
	} {
		_, err := pep440.ParseSpecifiers(c.in)
		var e *pep440.SyntaxError
		if !errors.As(err, &e) || e.Offset != c.offset || !strings.Contains(err.Error(), c.reason) || e.Fix == "" {
			t.Errorf("ParseSpecifiers(%q): %v, want offset %d, %s", c.in, err, c.offset, c.reason)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(ordered, "v1.0-RC.1", "1.0a.", "1..0", "1.0+a+b") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := pep440.Parse(s)
		if err != nil {
			var e *pep440.SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s) {
				t.Fatalf("%q: %v at %d", s, err, e.Offset)
			}
			return
		}
		again, err := pep440.Parse(v.String())
		if err != nil || !again.Equal(v) || again.String() != v.String() {
			t.Errorf("%q is %s, read again %s, %v", s, v, again, err)
		}
		if r := pep440.Exactly(v); !r.Contains(v) {
			t.Errorf("%s doesn't contain %s", r, v)
		}
	})
}
