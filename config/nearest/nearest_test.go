package nearest

import (
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	words := []string{"network", "resource", "filesystem", "package", "python", "process", "env", "cpu", "cpus"}
	for given, want := range map[string]string{
		"netwrok":                  "network", // swapped neighbours are one edit
		"resources":                "resource",
		"filesytem":                "filesystem",
		"pakage":                   "package",
		"enf":                      "env",
		"cpuu":                     "cpu", // as near as cpus: the first in order
		"banana":                   "",
		"":                         "",
		"x":                        "",
		"network":                  "", // what was written is not what was meant
		strings.Repeat("a", 1<<20): "",
	} {
		if got := Word(given, words); got != want {
			t.Errorf("Word(%.20q) = %q, want %q", given, got, want)
		}
	}
}

func TestHint(t *testing.T) {
	if got := Hint("netwrok", []string{"network"}); got != ` Did you mean "network"?` {
		t.Errorf("got %q", got)
	}
	if got := Hint("netwrok", nil); got != "" {
		t.Errorf("got %q", got)
	}
}
