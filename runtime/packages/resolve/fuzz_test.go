package resolve

import (
	"strings"
	"testing"
)

func FuzzMetadata(f *testing.F) {
	f.Add("Metadata-Version: 2.1\nName: A_b\nVersion: 1.0\nRequires-Python: >=3.8\nRequires-Dist: c[x] (>=1) ; extra == 'y'\nRequires-Dist: d\n >=2\n\nRequires-Dist: body\n")
	f.Add("Name: a\r\nRequires-Dist: b @ https://x/y ; os_name == 'nt'\r\n\r\n")
	f.Add(" \n\t:\n:\nrequires-dist\nRequires-Dist:\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMetadata([]byte(text))
		if err != nil {
			return
		}
		if m.name != normal(m.name) || strings.ContainsAny(m.version+m.python, "\n") {
			t.Errorf("%+v", m)
		}
		for _, r := range m.requires {
			if r.Name == "" || strings.Contains(r.String(), "\n") {
				t.Errorf("requires %q", r)
			}
		}
	})
}

// TestMetadata reads the head alone, with lines that go on.
func TestMetadata(t *testing.T) {
	m, err := parseMetadata([]byte("NAME: A_b\r\nversion: 1\r\nDescription: x\r\n Requires-Dist: no\r\nRequires-Dist: d\r\n  >=2\r\nrequires-python: >=3\r\n\r\nRequires-Dist: body"))
	if err != nil || m.name != "a-b" || m.version != "1" || m.python != ">=3" || len(m.requires) != 1 || m.requires[0].String() != "d>=2" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := parseMetadata([]byte(strings.Repeat("Requires-Dist: a\n", maxRequires+1))); err == nil {
		t.Error("takes any number of requirements")
	}
}

// TestKey: equal versions have one key, others have not.
func TestKey(t *testing.T) {
	parse := func(s string) string { return key(version(t, s)) }
	for _, same := range [][]string{{"1", "1.0", "1.0.0", "v1"}, {"1.post1", "1.0.post1"}, {"2!1.0a1", "2!1a1"}, {"1.0+x", "1+X"}, {"0", "0.0"}, {"10", "10.0"}} {
		for _, s := range same {
			if parse(s) != parse(same[0]) {
				t.Errorf("%s has %s, and %s has %s", s, parse(s), same[0], parse(same[0]))
			}
		}
	}
	seen := map[string]string{}
	for _, s := range []string{"1", "1.0.1", "10", "1.post1", "1.0a1", "1.dev0", "1+x", "2!1", "1.0.post1.dev2"} {
		if old := seen[parse(s)]; old != "" {
			t.Errorf("%s is %s", s, old)
		}
		seen[parse(s)] = s
	}
}
