//go:build linux

package host_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
)

// TestAlertOnNewFolders: it learns, it fires, the next daemon knows what this one saw, and
// with the alert goes what it remembered.
func TestAlertOnNewFolders(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(w.env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.mkdir(t, "src", "lib", "keys")
	news := filesystem.Alert{Name: "news", Event: filesystem.Write, Threshold: 1, Window: 100 * time.Millisecond, FirstSeen: true, Learn: time.Hour, Action: filesystem.Log}
	w.apply(t, track(filesystem.Writes, news))
	write := func(name string, fires int) {
		t.Helper()
		w.must(t, "echo x >>/workspace/"+name)
		if got := w.alerts(t); len(got) != fires {
			t.Errorf("%s: %+v", name, got)
		}
	}
	write("src/a", 0)
	news.Learn = time.Nanosecond // that has passed
	obj := track(filesystem.Writes, news)
	w.apply(t, obj)
	write("src/b", 0)
	write("lib/a", 1)
	write("lib/b", 1)
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.begin(t)
	w.sync(t)
	write("lib/c", 1)
	write("keys/a", 2)
	file := filepath.Join(w.env.Dir, "folders.seen")
	commit := func(c plan.Change) {
		t.Helper()
		if err := w.host.Commit(context.WithoutCancel(t.Context()), w.env, c); err != nil {
			t.Fatal(err)
		}
	}
	commit(plan.Change{Addr: obj.Addr, To: obj.Attrs})
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	w.drop(t, obj)
	if _, err := os.Stat(file); err != nil {
		t.Errorf("gone before that is final: %v", err)
	}
	commit(plan.Change{Addr: obj.Addr, From: obj.Attrs})
	if _, err := os.Stat(file); err == nil {
		t.Error("it is remembered for nobody")
	}
}
