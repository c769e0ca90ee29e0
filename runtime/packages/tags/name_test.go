package tags_test

import (
	"errors"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/tags"
)

func TestParseWheelName(t *testing.T) {
	w, err := tags.ParseWheelName("Zope.Interface-5.5.2-007b-cp311.cp310-cp311-manylinux_2_17_x86_64.whl")
	if err != nil {
		t.Fatal(err)
	}
	if w.Name != "zope-interface" || w.Version.String() != "5.5.2" || w.Build != (tags.Build{Number: "7", Suffix: "b"}) {
		t.Errorf("%+v", w)
	}
	if len(w.Tags) != 2 || w.Tags[1].String() != "cp310-cp311-manylinux_2_17_x86_64" {
		t.Errorf("tags %v", w.Tags)
	}
}

func TestParseWheelNameRefuses(t *testing.T) {
	for name, reason := range map[string]string{
		"a-1.0-py3-none-any.zip":                                 "doesn't end in .whl",
		"a-1.0.whl":                                              "parts",
		"a-1.0-x-py3-none-any.whl":                               "begin with a digit",
		"../a-1.0-py3-none-any.whl":                              "no project's name",
		"a-one-py3-none-any.whl":                                 "invalid version",
		"a-1.0-py3-none-../../etc.whl":                           "no part of a tag",
		"a-1.0-py3-none-any" + strings.Repeat("x", 300) + ".whl": "longer than",
		"a-1-" + strings.Repeat("a.", 30) + "a-" + strings.Repeat("b.", 30) + "b-" + strings.Repeat("c.", 30) + "c.whl": "more than 1000 tags",
	} {
		_, err := tags.ParseWheelName(name)
		var ne *tags.NameError
		if !errors.As(err, &ne) || !strings.Contains(err.Error(), reason) {
			t.Errorf("ParseWheelName(%q): %v, want %q", name, err, reason)
		}
	}
}

func TestParseSdistName(t *testing.T) {
	s, err := tags.ParseSdistName("ruamel.yaml-0.17.21.tar.gz")
	if err != nil || s.Name != "ruamel-yaml" || s.Version.String() != "0.17.21" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = tags.ParseSdistName("old-name-1.0.zip"); err != nil || s.Name != "old-name" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"a-1.0.tar.bz2", "a.tar.gz", "-1.0.tar.gz", "../a-1.0.tar.gz", "a-x.zip"} {
		if s, err := tags.ParseSdistName(bad); err == nil {
			t.Errorf("ParseSdistName(%q) = %+v", bad, s)
		}
	}
}

func TestBuildOrder(t *testing.T) {
	order := []tags.Build{{}, {Number: "1"}, {Number: "1", Suffix: "a"}, {Number: "2"}, {Number: "10"}}
	for i := range order[1:] {
		if order[i].Compare(order[i+1]) != -1 || order[i+1].Compare(order[i]) != 1 {
			t.Errorf("%v and %v are out of order", order[i], order[i+1])
		}
	}
}

func FuzzParseWheelName(f *testing.F) {
	for _, s := range []string{"foo-1.0-py3-none-any.whl", "foo-1.0-1000abc-py2.py3-none-any.whl", "-1.0-py3-none-any.whl", "f\u00e9-1-a-b-c.whl"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := tags.ParseWheelName(s)
		if err != nil {
			return
		}
		if w.Name == "" || w.Version.IsZero() || len(w.Tags) == 0 || strings.ContainsAny(w.Name, "/\\\x00") {
			t.Errorf("%q gave %+v", s, w)
		}
	})
}
