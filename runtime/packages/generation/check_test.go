//go:build linux

package generation

import (
	"testing"

	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/interpreter"
)

// An interpreter is asked once, and again when its file is another one.
func TestInterpretersAreRemembered(t *testing.T) {
	f, err := interpreter.Find(t.Context(), "")
	if err != nil {
		t.Skip(err)
	}
	var i interpreters
	if got, err := i.ask(t.Context(), f.Path); err != nil || got != f.Interpreter {
		t.Fatalf("%v %v", got, err)
	}
	known := i.answers[f.Path]
	known.got = packages.Interpreter{Version: "remembered"}
	i.answers[f.Path] = known
	if got, err := i.ask(t.Context(), f.Path); err != nil || got.Version != "remembered" {
		t.Errorf("%v %v", got, err)
	}
	known.is.mtime--
	i.answers[f.Path] = known
	if got, err := i.ask(t.Context(), f.Path); err != nil || got != f.Interpreter {
		t.Errorf("%v %v", got, err)
	}
}
