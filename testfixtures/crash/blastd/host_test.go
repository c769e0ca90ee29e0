package main

import (
	"log/slog"
	"reflect"
	"testing"

	"blast.example/blast/apply"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/hosts"
)

// A wrapped host can do all that it could, or the suite would strike another program
// than Blast. What it is looked for by it has if the host has it.
func TestWrapKeepsTheInterfaces(t *testing.T) {
	optional := []reflect.Type{
		reflect.TypeFor[kinds.Committer](), reflect.TypeFor[apply.Pruner](), reflect.TypeFor[kinds.Watcher](), reflect.TypeFor[kinds.Gater](),
		reflect.TypeFor[kinds.Flusher](), reflect.TypeFor[kinds.Witness](), reflect.TypeFor[kinds.Freezer](), reflect.TypeFor[kinds.Thawer](),
		reflect.TypeFor[kinds.Measurer](), reflect.TypeFor[kinds.Checker](),
	}
	sought := []reflect.Type{reflect.TypeFor[kinds.Keeper](), reflect.TypeFor[kinds.Copier]()}
	had := map[reflect.Type]bool{}
	for name, h := range hosts.With("/blast-init", "/wheels", slog.New(slog.DiscardHandler)) {
		is, was := reflect.TypeOf(wrap(h, nil)), reflect.TypeOf(h)
		for _, i := range optional {
			had[i] = had[i] || was.Implements(i)
			if !is.Implements(i) {
				t.Errorf("%s: no %v any more", name, i)
			}
		}
		for _, i := range sought {
			had[i] = had[i] || was.Implements(i)
			if is.Implements(i) != was.Implements(i) {
				t.Errorf("%s: %v: %t, was %t", name, i, is.Implements(i), was.Implements(i))
			}
		}
	}
	for i, ok := range had {
		if !ok {
			t.Errorf("no host is a %v: the name is wrong, or it is not needed", i)
		}
	}
}
