package crash

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The daemon is killed before and after everything that a kind does in a story.
func TestKillAtEveryStep(t *testing.T) {
	bin := needs(t)
	for _, s := range share(bySteps) {
		t.Run(s.name, func(t *testing.T) { newWorld(t, bin).steps(t, s) })
	}
}

// steps plays a story again and again, and dies at another step each time.
func (w *world) steps(t *testing.T, s story) {
	b := w.both(t, s)
	n := w.count(t, s)
	t.Logf("%d steps", n)
	for _, i := range some(2*n, 3) {
		begun := time.Now()
		w.begin(t, s)
		_, kills := w.told(t, s, fmt.Sprint(i/2+1, ":", []string{"before", "after"}[i%2]))
		if len(kills) == 0 {
			t.Fatalf("not killed at step %d of %d", i/2+1, n)
		}
		total.add("kill at a step", s.name, w.judge(t, s, b, strings.Join(kills, ", then ")), time.Since(begun))
	}
}

// count is how many steps a story has.
func (w *world) count(t *testing.T, s story) int {
	t.Helper()
	w.begin(t, s)
	steps, _ := w.told(t, s, "0:never")
	if len(steps) < 4 {
		t.Fatalf("only %d steps: the story is too short to show anything: %v", len(steps), steps)
	}
	return len(steps)
}

// told runs the story with a daemon that dies when told, and returns what it did and
// what it was killed at. One that the command starts after the first dies when told, too.
func (w *world) told(t *testing.T, s story, when string) (steps, kills []string) {
	t.Helper()
	w.stopDaemon(t)
	w.crash = when
	w.do(t, s.step)
	w.crash = ""
	w.stopDaemon(t)
	return w.noted(t)
}
