package crash

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/testfixtures/crash/strike"
)

// The daemon is killed between any two of its system calls that leave something behind.
func TestKillBetweenCalls(t *testing.T) {
	bin := needs(t)
	for _, s := range share(byCalls) {
		t.Run(s.name, func(t *testing.T) { newWorld(t, bin).between(t, s) })
	}
}

// between plays a story again and again, and has the daemon die after another call each
// time.
func (w *world) between(t *testing.T, s story) {
	b := w.both(t, s)
	_, all := w.answered(t, s, strike.Blow{})
	n := len(lasting(all))
	if n < 20 {
		t.Fatalf("the tracer sees too little: %v", all)
	}
	ends := map[verdict]int{}
	for _, i := range some(n, 2) {
		begun := time.Now()
		end, calls := w.answered(t, s, strike.Blow{Of: lasts, At: i + 1, Deed: strike.DieAfter})
		done := lasting(calls)
		what := fmt.Sprintf("killed after %d of %d calls, %v\n%s", i+1, n, done[max(0, len(done)-3):], end.out)
		v := w.judge(t, s, b, what)
		s.tells(t, end.code, v, what)
		ends[v]++
		total.add("kill between calls", s.name, v, time.Since(begun))
	}
	t.Logf("%d calls change something, %d of them leave something behind; killed between them it ends %v", len(all), n, ends)
}

// lasts picks the calls that leave something behind. A kill after another one is none at
// another moment. The daemon's log is nobody's state.
func lasts(c strike.Call) bool {
	return c.Done && c.Errno == 0 && c.Lasts && !strings.HasSuffix(c.Path, "/blastd.log")
}

func lasting(calls []strike.Call) []strike.Call {
	return slices.DeleteFunc(slices.Clone(calls), func(c strike.Call) bool { return !lasts(c) })
}

// A daemon that dies when a part is kept leaves nobody who could say so but the record.
func TestKilledWhenAPartIsKept(t *testing.T) {
	w := newWorld(t, needs(t))
	s := stories[slices.IndexFunc(stories, func(s story) bool { return s.name == "keep partial" })]
	end, calls := w.answered(t, s, strike.Blow{
		Of: func(c strike.Call) bool {
			return lasts(c) && strings.HasSuffix(c.Path, " -> "+filepath.Join(w.env.Dir, "state.json"))
		},
		At: 1, Deed: strike.DieAfter,
	})
	if end.code != s.exit || !strings.Contains(end.out, "a part of the changes is KEPT") {
		t.Errorf("killed at %v, it exits with %d:\n%s", calls[len(calls)-1], end.code, end.out)
	}
}
