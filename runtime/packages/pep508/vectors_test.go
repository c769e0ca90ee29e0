package pep508_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/testfixtures/pypi/vectors"
)

func TestVectorsName(t *testing.T) {
	vectors.Each(t, "name", func(t *testing.T, v struct{ In, Want string }) {
		if got := pep508.NormalizeName(v.In); got != v.Want {
			t.Errorf("NormalizeName(%q) = %q, want %q", v.In, got, v.Want)
		}
	})
}

type wantedRequirement struct {
	Name, Spec string
	URL        *string
	Extras     []string
	Marker     bool
}

func TestVectorsRequirement(t *testing.T) {
	vectors.Each(t, "req", func(t *testing.T, v struct {
		In   string
		Want *wantedRequirement
	}) {
		r, err := pep508.Parse(v.In)
		if (err == nil) != (v.Want != nil) {
			t.Errorf("Parse(%q): %v, want %v", v.In, err, v.Want)
		}
		if err != nil || v.Want == nil {
			return
		}
		got := wantedRequirement{Name: r.Name, Spec: r.Specifiers.String(), Extras: append([]string{}, r.Extras...), Marker: r.HasMarker()}
		if r.URL != "" {
			got.URL = &r.URL
		}
		if d := cmp.Diff(*v.Want, got); d != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", v.In, d)
		}
		again, err := pep508.Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("Parse(%q) of %q: %v, %v", r, v.In, again, err)
		}
	})
}

func TestVectorsMarkerValid(t *testing.T) {
	vectors.Each(t, "marker_valid", func(t *testing.T, v struct {
		In   string
		Want bool
	}) {
		m, err := pep508.ParseMarker(v.In)
		if (err == nil) != v.Want {
			t.Fatalf("ParseMarker(%q): %v, want valid=%v", v.In, err, v.Want)
		}
		if err != nil {
			return
		}
		if again, err := pep508.ParseMarker(m.String()); err != nil || again.String() != m.String() {
			t.Errorf("ParseMarker(%q) of %q: %v, %v", m, v.In, again, err)
		}
	})
}

func TestVectorsMarkerEvaluate(t *testing.T) {
	vectors.Each(t, "marker_eval", func(t *testing.T, v struct {
		Marker string
		Env    pep508.Environment
		Want   any // a bool or "error"
	}) {
		m, err := pep508.ParseMarker(v.Marker)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if got, err = m.Evaluate(v.Env); err != nil {
			got = "error"
		}
		if got != v.Want {
			t.Errorf("%s in %+v is %v, want %v", v.Marker, v.Env, got, v.Want)
		}
	})
}
