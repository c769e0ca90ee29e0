package crash

import (
	"errors"
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
	for i, s := range stories {
		if every == 0 && i%4 != 1 {
			continue
		}
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
	for _, i := range some(len(calls)*len(failures), 4) {
		begun := time.Now()
		at, f := i/len(failures), failures[i%len(failures)]
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

// A moment is when a file is made immutable: right before the nth call of a name that
// changes a record.
type moment struct {
	call   string // part of its name
	record string
	n      int
	file   string // what is made immutable; the folder of records if empty
}

var moments = []moment{
	{"write", "journal.jsonl", 2, "journal.jsonl"},
	{"fsync", "journal.jsonl", 1, "journal.jsonl"},
	{"rename", "history/", 1, "history"},
	{"rename", "/state.json", 1, "state.json"},
	{"rename", "/state.json", 1, ""},
	{"unlink", "journal.jsonl", 1, "journal.jsonl"},
	{"unlink", "journal.jsonl", 1, ""},
}

// A file becomes immutable while a command works, at the worst moment.
func TestImmutableMeanwhile(t *testing.T) {
	bin := needs(t)
	w := newWorldIn(t, bin, smallDisk(t))
	for i, s := range stories {
		if every == 0 && i%5 != 1 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			b := w.both(t, s)
			for _, n := range some(len(moments), 3) {
				begun := time.Now()
				if v, ok := w.meanwhile(t, s, b, moments[n]); ok {
					total.add("immutable meanwhile", s.name, v, time.Since(begun))
				}
			}
		})
	}
}

// meanwhile plays a story with a file that becomes immutable. It reports whether that
// moment came.
func (w *world) meanwhile(t *testing.T, s story, b sides, m moment) (verdict, bool) {
	t.Helper()
	mend, failed := func() error { return nil }, error(nil)
	came := false
	end, _ := w.answered(t, s, strike.Blow{
		Of: func(c strike.Call) bool {
			return strings.Contains(c.Name, m.call) && strings.Contains(c.Path, m.record) && w.isRecord(c)
		},
		At: m.n,
		Meanwhile: func(strike.Call) {
			came = true
			mend, failed = immutable(w.lies(m.file))
		},
	})
	if err := errors.Join(failed, mend()); err != nil {
		t.Fatal(err)
	}
	if !came {
		return neither, false
	}
	what := fmt.Sprintf("%q immutable at %s %d of %s", m.file, m.call, m.n, m.record)
	w.owns(t, s, what, noAccess, end.out, end.code)
	v := w.judge(t, s, b, what+"\n"+end.out)
	s.tells(t, end.code, v, what+"\n"+end.out)
	return v, true
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
	w.blast(t, "plan") // there is a daemon then
	pids := w.daemons(t)
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
// folder of records. Packages and layers are no records, nor is room kept in reserve.
func (w *world) isRecord(c strike.Call) bool {
	for path := range strings.SplitSeq(c.Path, " -> ") {
		rel, err := filepath.Rel(filepath.Dir(w.env.Dir), path)
		if err == nil && filepath.IsLocal(rel) {
			return !slices.ContainsFunc([]string{"default/packages", "default/layer", "default/reserve"}, func(p string) bool { return strings.HasPrefix(rel, p) })
		}
		if dir, name := filepath.Split(path); filepath.Clean(dir) == w.env.Run && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".tmp")) {
			return true
		}
	}
	return false
}
