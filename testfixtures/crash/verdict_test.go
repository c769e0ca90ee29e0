package crash

import (
	"slices"
	"strings"
	"testing"
)

// A verdict is where a strike ended.
type verdict string

const (
	ended   verdict = "old"
	began   verdict = "new"
	neither verdict = "neither"
)

// judge asks for a plan, which recovers, and then looks at the host, which must have one
// side whole. Then the story must go through, as if nothing had happened. It fails the
// test otherwise, and lets it go on.
func (w *world) judge(t *testing.T, s story, b sides, what string) verdict {
	t.Helper()
	w.crash = ""
	planned, code := w.blast(t, "plan", "--detailed-exitcode")
	if code != 0 && code != 2 {
		t.Errorf("%s: %s: plan exits with %d\n%s", s.name, what, code, planned)
		return neither
	}
	if strings.Contains(planned, "outside of Blast") {
		t.Errorf("%s: %s: the host is not what is on record:\n%s", s.name, what, planned)
	}
	now := w.inventory(t)
	v := b.which(s, now)
	if v == neither {
		t.Errorf("%s: %s: neither the one state nor the other.\nThan the old state it has %s\nThan the new one %s\n%s",
			s.name, what, difference(s.swept(now), s.swept(b.old)), difference(s.swept(now), s.swept(b.fresh)), planned)
		return neither
	}
	w.goesOn(t, s, b, v, what)
	return v
}

// which side it is that is there.
func (b sides) which(s story, now []string) verdict {
	switch {
	case slices.Equal(s.swept(now), s.swept(b.old)):
		return ended
	case slices.Equal(s.swept(now), s.swept(b.fresh)):
		return began
	}
	return neither
}

// swept leaves out what a strike may leave for a while.
func (s story) swept(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return s.litter != "" && strings.HasPrefix(l, "file ") && strings.Contains(l, s.litter)
	})
}

// tells checks that what a command said, by its exit code, is what came of it.
func (s story) tells(t *testing.T, code int, v verdict, what string) {
	t.Helper()
	want := neither // it may be either
	switch {
	case s.same || v == neither:
		return
	case code == exitRolledBack, code == exitError && s.exit != exitError:
		want = ended
	case code == s.exit && code != exitError:
		want = began
	}
	if want != neither && v != want || code == 0 && s.exit != 0 {
		t.Errorf("%s: the command exits with %d, and it ended in the %s state: %s", s.name, code, v, what)
	}
}

// goesOn checks that the struck command does its work now.
func (w *world) goesOn(t *testing.T, s story, b sides, v verdict, what string) {
	t.Helper()
	want := s.exit
	if v == began {
		want = s.again
	}
	if out, code := w.do(t, s.step); code != want {
		t.Errorf("%s: %s: the next time: exit %d, want %d\n%s", s.name, what, code, want, out)
	}
	if now := w.inventory(t); !slices.Equal(now, b.fresh) && (v != began || !s.counts) {
		t.Errorf("%s: %s: the next time it leads to %s", s.name, what, difference(now, b.fresh))
	}
	if s.greet == "" {
		return
	}
	if out := w.must(t, 0, "run", "--", "python", "-c", "import greet; print(greet.version)"); !strings.Contains(out, s.greet) {
		t.Errorf("%s: %s: run says %q, want %q", s.name, what, out, s.greet)
	}
}
