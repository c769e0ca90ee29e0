// Package conformance is the suite that every kind passes on the real kernel:
// applied twice is once, reversed is before, from every point half-way both the
// change and its reverse get home, and what Apply writes Observe sees.
package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// A Case is one kind in an environment where all that it stands on is there.
type Case struct {
	Host kinds.Host
	Env  state.Env
	// A and B are two different states of the kind's objects, in order of
	// application, with the same addresses.
	A, B []plan.Object
	// Kernel reads the kind's part of the host without the kind's help. What it
	// returns must be the same whenever the state is.
	Kernel func(t *testing.T) string
	// Tamper changes the host behind the kind's back, by name of the change.
	Tamper map[string]func(t *testing.T)
}

// Run runs the suite.
func Run(t *testing.T, c Case) {
	t.Helper()
	s := suite{c}
	t.Run("create twice, delete twice", s.createDelete)
	t.Run("update and reverse", s.updateReverse)
	t.Run("interrupted", s.interrupted)
	t.Run("tampering is seen", s.tampered)
	t.Run("both sides missing cleans up", s.cleanUp)
}

type suite struct{ Case }

func (s suite) createDelete(t *testing.T) {
	empty := s.Kernel(t)
	s.all(t, t.Context(), changes(nil, s.A), 2)
	s.sees(t, s.A)
	if s.Kernel(t) == empty {
		t.Fatal("Kernel reads the same with and without the objects: the test sees nothing")
	}
	s.commit(t, changes(nil, s.A))
	full := s.Kernel(t)
	s.commit(t, changes(nil, s.A))
	s.sees(t, s.A)
	s.same(t, "after a second commit", full)
	// Undo of a delete, before it is final.
	s.all(t, t.Context(), changes(s.A, nil), 2)
	s.sees(t, nil)
	s.all(t, t.Context(), reversed(changes(s.A, nil)), 2)
	s.sees(t, s.A)
	s.commit(t, reversed(changes(s.A, nil)))
	s.same(t, "after a delete taken back", full)
	s.delete(t, s.A)
	s.same(t, "after delete", empty)
}

func (s suite) updateReverse(t *testing.T) {
	s.create(t, s.A)
	was := s.Kernel(t)
	s.all(t, t.Context(), changes(s.A, s.B), 2)
	s.sees(t, s.B)
	s.all(t, t.Context(), reversed(changes(s.A, s.B)), 2)
	s.sees(t, s.A)
	s.commit(t, reversed(changes(s.A, s.B)))
	s.sees(t, s.A)
	s.same(t, "reversed", was)
	s.all(t, t.Context(), changes(s.A, s.B), 1)
	s.commit(t, changes(s.A, s.B))
	s.sees(t, s.B)
	s.delete(t, s.B)
}

// interrupted cancels each change at every point at which the kind looks.
func (s suite) interrupted(t *testing.T) {
	for name, side := range map[string][2][]plan.Object{"create": {nil, s.A}, "update": {s.A, s.B}, "delete": {s.A, nil}} {
		for n := 1; n <= 40; n++ {
			if s.interruptAt(t, name, side[0], side[1], n) {
				break
			}
		}
	}
}

// interruptAt cuts the change off at the nth look at the context, and from there goes
// back once and forth once. It reports whether the change was never cut off.
func (s suite) interruptAt(t *testing.T, name string, from, to []plan.Object, n int) (never bool) {
	if from != nil {
		s.create(t, from)
	}
	was := s.Kernel(t)
	for _, back := range []bool{true, false} {
		ctx := &countdown{Context: t.Context(), left: n, done: make(chan struct{})}
		var err error
		for _, c := range changes(from, to) {
			if err = s.Host.Apply(ctx, s.Env, c); err != nil {
				break
			}
		}
		if err != nil && !ctx.over() {
			t.Fatalf("%s: %v", name, err)
		}
		never = err == nil
		if back {
			s.all(t, t.Context(), reversed(changes(from, to)), 1)
			s.commit(t, reversed(changes(from, to)))
			s.sees(t, from)
			s.same(t, fmt.Sprintf("%s cut off at %d and taken back", name, n), was)
		}
	}
	s.all(t, t.Context(), changes(from, to), 1)
	s.sees(t, to)
	s.commit(t, changes(from, to))
	s.sees(t, to)
	s.delete(t, to)
	return never
}

func (s suite) tampered(t *testing.T) {
	for name, tamper := range s.Tamper {
		s.create(t, s.A)
		whole := s.Kernel(t)
		tamper(t)
		now := s.observe(t)
		if equal(now, s.A) {
			t.Errorf("%s: Observe sees nothing", name)
		}
		var mend []plan.Change
		for _, st := range plan.Diff(s.A, s.A, now, nil).Steps {
			mend = append(mend, st.Change)
		}
		s.all(t, t.Context(), mend, 1)
		s.commit(t, mend)
		s.sees(t, s.A)
		s.same(t, name+" and mended", whole)
		s.delete(t, s.A)
	}
	if len(s.Tamper) == 0 {
		t.Error("no tampering to try")
	}
}

func (s suite) cleanUp(t *testing.T) {
	empty := s.Kernel(t)
	s.create(t, s.A)
	both := changes(s.A, nil)
	for i := range both {
		both[i].From = nil
	}
	s.all(t, t.Context(), both, 2)
	s.commit(t, both)
	s.sees(t, nil)
	s.same(t, "cleaned up", empty)
}

func (s suite) create(t *testing.T, objs []plan.Object) {
	t.Helper()
	s.all(t, t.Context(), changes(nil, objs), 1)
	s.commit(t, changes(nil, objs))
	s.sees(t, objs)
}

func (s suite) delete(t *testing.T, objs []plan.Object) {
	t.Helper()
	s.all(t, t.Context(), changes(objs, nil), 1)
	s.commit(t, changes(objs, nil))
	s.sees(t, nil)
}

func (s suite) all(t *testing.T, ctx context.Context, cs []plan.Change, times int) {
	t.Helper()
	for range times {
		for _, c := range cs {
			if err := s.Host.Apply(ctx, s.Env, c); err != nil {
				t.Fatalf("apply %s: %v", c.Addr, err)
			}
		}
	}
}

func (s suite) commit(t *testing.T, cs []plan.Change) {
	t.Helper()
	co, ok := s.Host.(kinds.Committer)
	if !ok {
		return
	}
	for _, c := range cs {
		if err := co.Commit(t.Context(), s.Env, c); err != nil {
			t.Fatalf("commit %s: %v", c.Addr, err)
		}
	}
}

func (s suite) observe(t *testing.T) []plan.Object {
	t.Helper()
	now, err := s.Host.Observe(t.Context(), s.Env)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (s suite) sees(t *testing.T, want []plan.Object) {
	t.Helper()
	if got := s.observe(t); !equal(got, want) {
		t.Fatalf("Observe sees\n%s\nwant\n%s", text(got), text(want))
	}
}

func (s suite) same(t *testing.T, when, want string) {
	t.Helper()
	if got := s.Kernel(t); got != want {
		t.Fatalf("%s the kernel has\n%s\nwant\n%s", when, got, want)
	}
}

// changes leads from one list of objects to another: creations and updates in
// order, deletions in reverse.
func changes(from, to []plan.Object) []plan.Change {
	var cs []plan.Change
	for _, s := range plan.Diff(to, from, from, nil).Steps {
		cs = append(cs, s.Change)
	}
	return cs
}

func reversed(cs []plan.Change) []plan.Change {
	var out []plan.Change
	for _, c := range slices.Backward(cs) {
		out = append(out, c.Reverse())
	}
	return out
}

func equal(a, b []plan.Object) bool { return text(a) == text(b) }

func text(objs []plan.Object) string {
	var lines []string
	for _, o := range objs {
		lines = append(lines, o.Addr+" "+string(o.Attrs))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// countdown is a context that is canceled at the nth question whether it is.
type countdown struct {
	context.Context
	mu   sync.Mutex
	left int
	done chan struct{}
}

func (c *countdown) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.done)
	}
	if c.left <= 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

func (c *countdown) Done() <-chan struct{} { return c.done }

func (c *countdown) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c *countdown) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
