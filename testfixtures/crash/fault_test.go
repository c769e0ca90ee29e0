package crash

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/crash/strike"
)

// A failure is what a system call answers instead of doing its work.
type failure struct {
	name  string
	errno unix.Errno
	deed  strike.Deed
	says  []string
}

var failures = []failure{
	{"ENOSPC once", unix.ENOSPC, strike.Fail, full},
	{"EIO once", unix.EIO, strike.Fail, broke},
	{"EIO from then on", unix.EIO, strike.FailOn, broke},
	{"EROFS from then on", unix.EROFS, strike.FailOn, readOnly},
	{"EPERM from then on", unix.EPERM, strike.FailOn, noAccess},
}

var broke = []string{"input/output error", "dmesg"}

// Each call by which the daemon changes a record fails: state, journal, history, claim,
// notes and the index of snapshots.
func TestFailAtEveryWrite(t *testing.T) {
	bin := needs(t)
	for _, s := range share(byWrites) {
		t.Run(s.name, func(t *testing.T) { newWorld(t, bin).writes(t, s) })
	}
}

// writes plays a story once for each write and failure.
func (w *world) writes(t *testing.T, s story) {
	b := w.both(t, s)
	_, calls := w.answered(t, s, strike.Blow{})
	calls = slices.DeleteFunc(calls, func(c strike.Call) bool { return !w.isRecord(c) })
	if len(calls) < 4 {
		t.Fatalf("only %d writes: the story is too short to show anything: %v", len(calls), calls)
	}
	t.Logf("%d writes", len(calls))
	for _, i := range some(len(calls)*len(failures), 3) {
		begun := time.Now()
		at := i / len(failures)
		f := failures[(i+at)%len(failures)] // a sample has another one each time
		end, seen := w.answered(t, s, strike.Blow{Of: w.isRecord, At: at + 1, Deed: f.deed, Errno: f.errno})
		hit := slices.IndexFunc(seen, func(c strike.Call) bool { return w.isRecord(c) && c.Errno == f.errno })
		if hit < 0 {
			t.Logf("%s: there were fewer writes than %d this time", s.name, at+1)
			continue
		}
		what := fmt.Sprintf("%s at %s(%s)", f.name, seen[hit].Name, seen[hit].Path)
		w.owns(t, s, what, f.says, end.out, end.code)
		v := w.judge(t, s, b, what+"\n"+end.out)
		s.tells(t, end.code, v, what+"\n"+end.out)
		total.add(f.name, s.name, v, time.Since(begun))
	}
}

// The disk fails right after the commit point, as the folder is synced: everybody reads the
// new state by then, so there is no way back.
func TestFailAfterTheCommitPoint(t *testing.T) {
	bin := needs(t)
	s := stories[1]
	w := newWorld(t, bin)
	b := w.both(t, s)
	for _, n := range some(len(failures), 1) {
		f, renamed, begun := failures[n], false, time.Now()
		end, seen := w.answered(t, s, strike.Blow{At: 1, Deed: f.deed, Errno: f.errno, Of: func(c strike.Call) bool {
			renamed = renamed || strings.HasSuffix(c.Path, " -> "+w.env.Dir+"/state.json")
			return renamed && c.Name == "fsync" && c.Path == w.env.Dir
		}})
		what := f.name + " after the commit point"
		if !slices.ContainsFunc(seen, func(c strike.Call) bool { return c.Path == w.env.Dir && c.Errno == f.errno }) {
			t.Fatalf("%s: it never came to that: %v", what, seen)
		}
		v := w.judge(t, s, b, what+"\n"+end.out)
		if v != began {
			t.Errorf("%s: it ended in the %s state\n%s", what, v, end.out)
		}
		w.owns(t, s, what, f.says, end.out, end.code)
		total.add(f.name, s.name, v, time.Since(begun))
	}
}

// an ending is what a command said, and its exit code.
type ending struct {
	out  string
	code int
}

// answered plays a story whose daemon's calls are counted, or fail.
func (w *world) answered(t *testing.T, s story, blow strike.Blow) (ending, []strike.Call) {
	t.Helper()
	w.begin(t, s)
	args := w.ready(t, s.step)
	pids := w.daemons(t)
	if len(pids) == 0 {
		w.blast(t, "plan") // starts one
		pids = w.daemons(t)
	}
	if len(pids) != 1 {
		t.Fatalf("daemons: %v", pids)
	}
	trace, err := strike.Seize(pids[0], blow)
	if err != nil {
		t.Fatal(err)
	}
	out, code := w.blast(t, args...)
	calls, err := trace.LetGo()
	if err != nil {
		t.Fatal(err)
	}
	return ending{out, code}, calls
}

// isRecord reports whether a call changes a record of the world's environment or a
// folder of records. Packages are none, nor layers and their copies, which have no name, nor room
// that is kept in reserve.
func (w *world) isRecord(c strike.Call) bool {
	for path := range strings.SplitSeq(c.Path, " -> ") {
		rel, err := filepath.Rel(filepath.Dir(w.env.Dir), path)
		if err == nil && filepath.IsLocal(rel) {
			return !slices.ContainsFunc([]string{"default/packages", "default/layer", "default/#", "default/reserve"}, func(p string) bool { return strings.HasPrefix(rel, p) })
		}
		if dir, name := filepath.Split(path); filepath.Clean(dir) == w.env.Run && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".tmp")) {
			return true
		}
	}
	return false
}
