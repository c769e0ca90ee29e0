package interpreter_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An answer is remembered for the very file that gave it, and for no other; and
// never believed where somebody else could have put it.
func TestRemembers(t *testing.T) {
	f := fake(t, nil)
	program, asked := filepath.Join(f.Dirs[0], "python3.11"), filepath.Join(f.Dirs[0], "asked")
	install := func(version string) {
		t.Helper()
		text := fmt.Sprintf("#!/bin/sh\necho x >>%s\ncat <<'END'\n%s\nEND\n", asked, answer(version))
		if err := os.WriteFile(program+".new", []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	find := func(what, version string, times int) {
		t.Helper()
		py, err := f.Find(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(asked)
		if n := strings.Count(string(b), "x"); py.Interpreter.Version != version || n != times {
			t.Errorf("%s: %s after %d questions, want %s after %d", what, py.Interpreter.Version, n, version, times)
		}
	}
	install("3.11.2")
	find("no cache", "3.11.2", 1)
	find("no cache", "3.11.2", 2)
	f.Cache = filepath.Join(t.TempDir(), "answers")
	find("first", "3.11.2", 3)
	find("again", "3.11.2", 3)
	install("3.11.9")
	find("replaced", "3.11.9", 4)
	find("again", "3.11.9", 4)

	kept, err := filepath.Glob(f.Cache + "/*.json")
	if err != nil || len(kept) != 2 {
		t.Fatalf("%q, %v", kept, err)
	}
	for _, name := range kept {
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find("damaged", "3.11.9", 5)
	find("mended", "3.11.9", 5)
	for _, name := range kept {
		if err := os.Chmod(name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	find("writable by all", "3.11.9", 6)
	if os.Geteuid() == 0 {
		for _, name := range kept {
			if err := os.Chown(name, 1000, 1000); err != nil {
				t.Fatal(err)
			}
		}
		find("of another", "3.11.9", 7)
	}
}
