package tags_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/tags"
	"blast.example/blast/testfixtures/pypi/vectors"
)

type wantedFile struct {
	Name, Version string
	Build         []any
	Tags          []string
}

type file struct {
	In   string
	Want *wantedFile
}

func TestVectorsWheelName(t *testing.T) {
	vectors.Each(t, "wheelname", func(t *testing.T, v file) {
		w, err := tags.ParseWheelName(v.In)
		if err != nil || v.Want == nil {
			if (err == nil) != (v.Want != nil) {
				t.Errorf("ParseWheelName(%q): %v, want %v", v.In, err, v.Want)
			}
			return
		}
		got := wantedFile{Name: w.Name, Version: w.Version.String(), Build: []any{}}
		if w.Build.Number != "" {
			got.Build = []any{float64(w.Build.Number.Int()), w.Build.Suffix}
		}
		for _, tag := range w.Tags {
			got.Tags = append(got.Tags, tag.String())
		}
		slices.Sort(got.Tags)
		if d := cmp.Diff(*v.Want, got); d != "" {
			t.Errorf("ParseWheelName(%q) (-want +got):\n%s", v.In, d)
		}
	})
}

func TestVectorsSdistName(t *testing.T) {
	vectors.Each(t, "sdistname", func(t *testing.T, v file) {
		s, err := tags.ParseSdistName(v.In)
		if err != nil || v.Want == nil {
			if (err == nil) != (v.Want != nil) {
				t.Errorf("ParseSdistName(%q): %v, want %v", v.In, err, v.Want)
			}
			return
		}
		if s.Name != v.Want.Name || s.Version.String() != v.Want.Version {
			t.Errorf("ParseSdistName(%q) = %s %s, want %v", v.In, s.Name, s.Version, v.Want)
		}
	})
}
