package solver_test

import (
	"errors"
	"fmt"
	"testing"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/solver"
)

// hard is a family of clients like those of a cloud, of many versions each,
// that agree with each other by bounds that move along, and where, if
// unsolvable, what the oldest and newest of all need excludes what p needs. A
// solver that only goes back step by step needs versions to the power of names.
func hard(names, versions int, unsolvable bool) []string {
	var lines []string
	for v := versions; v > 0; v-- {
		l := fmt.Sprintf("p %d: base>=1", v)
		for n := range names {
			l += fmt.Sprintf(", client%d>=%d", n, max(1, v/2))
		}
		lines = append(lines, l)
	}
	for n := range names {
		for v := versions; v > 0; v-- {
			l := fmt.Sprintf("client%d %d: common>=%d", n, v, 1+v/3)
			if n > 0 {
				l += fmt.Sprintf(", client%d<=%d&!=%d", n-1, v+2, v-1)
			}
			lines = append(lines, l)
		}
	}
	for v := versions; v > 0; v-- {
		l := fmt.Sprintf("common %d: codec<%d", v, 2+v%7)
		lines = append(lines, l)
	}
	for v := versions; v > 0; v-- {
		lines = append(lines, fmt.Sprintf("codec %d: base<1", v))
	}
	lines = append(lines, "base 1")
	if !unsolvable {
		lines = append(lines, "codec 0")
	}
	return append(lines, "base 0.5")
}

// TestHardProof: what pip's solver doesn't prove in 500 rounds. Effort is
// counted, not timed: each version looked into is a file to fetch.
func TestHardProof(t *testing.T) {
	w := newWorld(t, hard(12, 40, true)...)
	_, err := solve(t, w, "r.txt:1@p")
	var none *solver.ConflictError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	t.Logf("%d versions looked into", len(w.looked))
	if len(w.looked) > 600 {
		t.Errorf("looked into %d versions", len(w.looked))
	}
}

func TestHardSolution(t *testing.T) {
	w := newWorld(t, hard(12, 40, false)...)
	_, err := solve(t, w, "r.txt:1@p")
	if err != nil {
		t.Fatal(err)
	}
	check(t, w, "p")
	t.Logf("%d versions looked into", len(w.looked))
	if len(w.looked) > 600 {
		t.Errorf("looked into %d versions", len(w.looked))
	}
}

// sixty is 60 packages of 40 versions that need up to four others.
func sixty(t testing.TB) *world {
	var lines []string
	for n := range 60 {
		for v := 40; v > 0; v-- {
			l := fmt.Sprintf("pkg%02d 1.%d.0:", n, v)
			for k := 1; k <= 4 && n+k*k < 60; k++ {
				l += fmt.Sprintf(" pkg%02d>=1.%d&<2,", n+k*k, v/2)
			}
			lines = append(lines, l)
		}
	}
	return newWorld(t, lines...)
}

// BenchmarkSixty is the solver's share of resolving a usual project.
func BenchmarkSixty(b *testing.B) {
	w := sixty(b)
	ask := dependencies([]string{"pkg00", "pkg01<1.30", "pkg02!=1.40.0"}, "r.txt:1")
	for b.Loop() {
		got, err := solver.Solve(b.Context(), ask, w)
		if err != nil || len(got) != 60 {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkHardProof(b *testing.B) {
	lines := hard(12, 40, true)
	for b.Loop() {
		if _, err := solve(b, newWorld(b, lines...), "p"); err == nil {
			b.Fatal("solved")
		}
	}
}

// check fails unless each need of what was chosen is met.
func check(t *testing.T, w *world, asks ...string) {
	t.Helper()
	chosen, err := solver.Solve(t.Context(), dependencies(asks, ""), w)
	if err != nil {
		t.Fatal(err)
	}
	for pkg, v := range chosen {
		for _, d := range dependencies(w.deps[pkg+" "+v.String()], "") {
			if got, ok := chosen[d.Package]; !ok || !d.Set.Contains(got) {
				t.Errorf("%s %s needs %s, chosen is %q", pkg, v, d.Text, got)
			}
		}
	}
}

// FuzzSolve compares with trying everything, on small worlds.
func FuzzSolve(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("a world of a few packages, at random"))
	f.Add([]byte{255, 254, 253, 252, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 1, 3, 5, 7, 9, 11, 13})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := random(t, data)
		got, err := solver.Solve(t.Context(), dependencies([]string{"a", "b"}, ""), w)
		want := possible(w, map[string]pep440.Version{}, []string{"a", "b"})
		if (err == nil) != want {
			t.Fatalf("solved: %v, possible: %v; %v\n%v", got, want, err, w.deps)
		}
		if err == nil {
			check(t, w, "a", "b")
		}
	})
}

// random makes five packages of three versions out of bytes.
func random(t *testing.T, data []byte) *world {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := int(data[0])
		data = data[1:]
		return b
	}
	var lines []string
	for _, pkg := range "abcde" {
		for v := 3; v > 0; v-- {
			l := fmt.Sprintf("%c %d:", pkg, v)
			for range next() % 4 {
				b := next()
				ops := []string{"==", "<=", ">=", "!="}
				l += fmt.Sprintf(" %c%s%d,", 'a'+rune(b%5), ops[b/5%4], 1+b/20%4)
			}
			lines = append(lines, l)
		}
	}
	return newWorld(t, lines...)
}

// possible tries everything.
func possible(w *world, chosen map[string]pep440.Version, open []string) bool {
	if len(open) == 0 {
		return true
	}
	pkg := open[0]
	if _, ok := chosen[pkg]; ok {
		return possible(w, chosen, open[1:])
	}
	for _, c := range w.lists[pkg] {
		chosen[pkg] = c.Version
		more := append([]string(nil), open[1:]...)
		ok := true
		for p, v := range chosen {
			for _, d := range dependencies(w.deps[p+" "+v.String()], "") {
				if got, there := chosen[d.Package]; there {
					ok = ok && d.Set.Contains(got)
				} else {
					more = append(more, d.Package)
				}
			}
		}
		if ok && possible(w, chosen, more) {
			return true
		}
		delete(chosen, pkg)
	}
	return false
}
