package secret

import (
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for _, good := range []string{"env:DATABASE_URL", "env:_x1", "file:/run/secrets/db", "file:db.txt", "file:a b/c:d", "file:./x"} {
		if err := CheckSource(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                "The value itself must not stand here",
		"hunter2":         "The value itself must not stand here",
		"vault:hunter2":   `Write "env:NAME" for`,
		"ENV:X":           `Write "env:NAME" for`,
		"env:":            "can't name an environment variable",
		"env:A B":         "can't name an environment variable",
		"env:A=B":         "can't name an environment variable",
		"file:":           "path is missing",
		"file:~/x":        "Write the path from /",
		"file:a/../../x":  `".." leads`,
		"file:x\ny":       "control character",
		"file:/x\u0000/y": "control character",
	} {
		if err := CheckSource(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
	}
}

func TestFile(t *testing.T) {
	for from, want := range map[string]string{"env:X": "", "file:/a/./b": "/a/b", "file:b": "/p/b", "nonsense": ""} {
		if got := (Reference{From: from}).File("/p"); got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}
