package solver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/solver"
)

// world is a provider out of lines like "a 1.0: b>=2, c", the best version
// first. A line "a 1.0! reason" is a version that can't be used, "a 1.0!! reason"
// one of which that is found out late.
type world struct {
	lists  map[string][]solver.Candidate
	deps   map[string][]string
	late   map[string]string
	broken map[string]error
	looked []string
}

func newWorld(t testing.TB, lines ...string) *world {
	t.Helper()
	w := &world{lists: map[string][]solver.Candidate{}, deps: map[string][]string{}, late: map[string]string{}, broken: map[string]error{}}
	for _, l := range lines {
		head, needs, _ := strings.Cut(l, ":")
		name, version, _ := strings.Cut(strings.TrimSpace(head), " ")
		version, reason, late := strings.Cut(version, "!! ")
		if late {
			w.late[name+" "+version] = reason
			reason = ""
		} else {
			version, reason, _ = strings.Cut(version, "! ")
		}
		v, err := pep440.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		w.lists[name] = append(w.lists[name], solver.Candidate{Version: v, Unusable: reason})
		for _, n := range strings.Split(needs, ",") {
			if n = strings.TrimSpace(n); n != "" {
				w.deps[name+" "+version] = append(w.deps[name+" "+version], n)
			}
		}
	}
	return w
}

func (w *world) Candidates(_ context.Context, pkg string) ([]solver.Candidate, error) {
	if err := w.broken[pkg]; err != nil {
		return nil, err
	}
	name, _, extra := strings.Cut(pkg, "[")
	list := w.lists[name]
	if extra && len(w.lists[pkg]) > 0 {
		list = w.lists[pkg]
	}
	if len(list) == 0 {
		return nil, solver.UnusableError("no index has it")
	}
	return list, nil
}

func (w *world) Dependencies(_ context.Context, pkg string, v pep440.Version) ([]solver.Dependency, error) {
	key := pkg + " " + v.String()
	w.looked = append(w.looked, key)
	if reason := w.late[key]; reason != "" {
		return nil, solver.UnusableError(reason)
	}
	return dependencies(w.deps[key], ""), nil
}

// dependencies reads "b>=2" or "line 3@b>=2"; "limit 3@b" only bounds.
func dependencies(lines []string, place string) (out []solver.Dependency) {
	for _, l := range lines {
		place := place
		if at, rest, ok := strings.Cut(l, "@"); ok {
			place, l = at, rest
		}
		r, err := pep508.Parse(strings.ReplaceAll(l, "&", ","))
		if err != nil {
			panic(err)
		}
		d := solver.Dependency{Package: r.Key(), Set: r.Specifiers.Ranges(), Text: r.String(), Place: place, Limit: strings.HasPrefix(place, "limit")}
		out = append(out, d)
		for _, e := range r.Extras {
			d.Package = r.Key() + "[" + e + "]"
			out = append(out, d)
		}
	}
	return out
}

func solve(t testing.TB, w *world, asks ...string) (string, error) {
	t.Helper()
	got, err := solver.Solve(t.Context(), dependencies(asks, "the project"), w)
	var out []string
	for pkg, v := range got {
		out = append(out, pkg+" "+v.String())
	}
	slices.Sort(out)
	return strings.Join(out, ", "), err
}

func TestSolve(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		asks  []string
		want  string
	}{
		"nothing is asked":                     {},
		"the best":                             {[]string{"a 2", "a 1"}, []string{"a"}, "a 2"},
		"the best is what comes first":         {[]string{"a 1", "a 2"}, []string{"a"}, "a 1"},
		"both lines hold":                      {[]string{"a 3", "a 2", "a 1"}, []string{"a<3", "a!=1"}, "a 2"},
		"chain":                                {[]string{"a 1: b", "b 1: c", "c 1"}, []string{"a"}, "a 1, b 1, c 1"},
		"circle":                               {[]string{"a 1: b", "b 1: a"}, []string{"a"}, "a 1, b 1"},
		"circle that excludes itself":          {[]string{"a 2: b", "a 1", "b 1: a<2"}, []string{"a"}, "a 1"},
		"needs itself":                         {[]string{"a 1: a"}, []string{"a"}, "a 1"},
		"needs another of itself":              {[]string{"a 2: a<2", "a 1"}, []string{"a"}, "a 1"},
		"avoids a conflict":                    {[]string{"a 2: c==2", "a 1: c", "b 1: c==1", "c 2", "c 1"}, []string{"a", "b"}, "a 1, b 1, c 1"},
		"skips what can't be used":             {[]string{"a 3! no wheel", "a 2!! bad metadata", "a 1"}, []string{"a"}, "a 1"},
		"a missing project is avoided":         {[]string{"a 2: gone", "a 1"}, []string{"a"}, "a 1"},
		"extra":                                {[]string{"a 1: b", "a[x] 1: c", "b 1", "c 1"}, []string{"a[x]"}, "a 1, a[x] 1, b 1, c 1"},
		"extra has its project's version":      {[]string{"a 2: c==2", "a 1: c==1", "a[x] 2: d", "a[x] 1: d", "c 1", "d 1"}, []string{"a[x]"}, "a 1, a[x] 1, c 1, d 1"},
		"circle of extras":                     {[]string{"a 1", "a[x] 1: a[y]", "a[y] 1: a[x]"}, []string{"a[x]"}, "a 1, a[x] 1, a[y] 1"},
		"an extra drops a version":             {[]string{"a 2", "a 1", "a[x] 2: b==9", "a[x] 1: b", "b 1"}, []string{"a[x]"}, "a 1, a[x] 1, b 1"},
		"a bound holds":                        {[]string{"a 2", "a 1"}, []string{"a", "limit 1@a<2"}, "a 1"},
		"a bound asks for nothing":             {[]string{"a 1", "b 1"}, []string{"a", "limit 1@b<2"}, "a 1"},
		"a bound of what others need":          {[]string{"a 1: b", "b 2", "b 1"}, []string{"a", "limit 1@b<2"}, "a 1, b 1"},
		"a branch that is left leaves nothing": {[]string{"a 2: x, y==2", "a 1", "x 1", "y 1"}, []string{"a"}, "a 1"},
		"local builds":                         {[]string{"a 1.0+gpu", "a 1.0"}, []string{"a==1.0"}, "a 1.0+gpu"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := solve(t, newWorld(t, c.lines...), c.asks...)
			if err != nil || got != c.want {
				t.Errorf("got %q, want %q; %v", got, c.want, err)
			}
		})
	}
}

// TestExplanations is what people read. Each is to be understood without
// knowing how the search went.
func TestExplanations(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		asks  []string
		want  string
	}{
		"two lines": {[]string{"a 1", "a 2"}, []string{"r.txt:1@a==1", "r.txt:2@a==2"},
			"Because r.txt:1 asks for a==1 and r.txt:2 asks for a==2, no versions fit."},
		"a line against another project's need": {[]string{"a 2: b<1", "b 1.2", "b 0.9"}, []string{"r.txt:1@a>=2", "r.txt:3@b==1.2"},
			"Because r.txt:1 asks for a>=2, a==2 needs b<1 and r.txt:3 asks for b==1.2, no versions fit."},
		"all versions need the same": {[]string{"a 3: b<1", "a 2: b<1", "a 1: b<1", "b 1.2", "b 0.9"}, []string{"r.txt:1@a", "r.txt:3@b==1.2"},
			"Because r.txt:1 asks for a, every version of a needs b<1 and r.txt:3 asks for b==1.2, no versions fit."},
		"neighbours need the same": {[]string{"a 4: b", "a 3: b<1", "a 2: b<1", "a 1: b", "b 1", "b 0.9"}, []string{"r.txt:1@a>1&<4", "r.txt:2@b==1"},
			"Because r.txt:1 asks for a<4,>1, a>=2,<=3 needs b<1 and r.txt:2 asks for b==1, no versions fit."},
		"no such project": {nil, []string{"r.txt:1@gone>=2"},
			"Because r.txt:1 asks for gone>=2 and there is no project gone (no index has it), no versions fit."},
		"no such version": {[]string{"a 1"}, []string{"r.txt:1@a>=2"},
			"Because r.txt:1 asks for a>=2 and there is no a>=2 (there is only 1), no versions fit."},
		"nothing that can be used": {[]string{"a 1! no wheel", "a 2! no wheel", "a 3! yanked"}, []string{"r.txt:1@a"},
			"Because r.txt:1 asks for a, a<=2 can't be used (no wheel) and a==3 can't be used (yanked), no versions fit."},
		"a bound": {[]string{"a 1: b>=2", "b 1", "b 2"}, []string{"r.txt:1@a", "limit.txt:1@b<2"},
			"Because r.txt:1 asks for a, a==1 needs b>=2 and limit.txt:1 allows only b<2, no versions fit."},
		"an extra": {[]string{"a 1", "a 2", "a[x] 1: b==2", "a[x] 2: b==2", "b 1", "b 2"}, []string{"r.txt:1@a[x]", "r.txt:2@b==1"},
			"Because r.txt:1 asks for a[x], every version of a[x] needs b==2 and r.txt:2 asks for b==1, no versions fit."},
		"an extra and its project": {[]string{"a 1: b==1", "a[x] 1: b==2", "b 1", "b 2"}, []string{"r.txt:1@a[x]"},
			"Because r.txt:1 asks for a[x], a==1 needs b==1 and a[x]==1 needs b==2, no versions fit."},
		"steps": {[]string{"a 1: d, e", "d 1: f==1", "e 1: f==2", "f 1", "f 2"}, []string{"r.txt:1@a"},
			"Because e==1 needs f==2 and d==1 needs f==1, d and e can't go together.\n" +
				"And because a==1 needs d, e and a can't go together.\n" +
				"And because a==1 needs e and r.txt:1 asks for a, no versions fit."},
		"a step that is used later": {[]string{"a 3: c>=2", "a 2: c>=2", "a 1: c>2", "b 1: c<2", "b 2: c==1", "c 1", "c 2", "c 3"}, []string{"r.txt:1@a", "r.txt:3@b"},
			"Because b==1 needs c<2 and b==2 needs c==1, every version of b needs c==1. (1)\n" +
				"Because a==1 needs c>2 and a>=2 needs c>=2, every version of a needs c>=2.\n" +
				"And because every version of b needs c==1 (1), b and a can't go together.\n" +
				"And because r.txt:1 asks for a and r.txt:3 asks for b, no versions fit."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := solve(t, newWorld(t, c.lines...), c.asks...)
			var none *solver.ConflictError
			if !errors.As(err, &none) {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, none.Error()); d != "" {
				t.Error(d)
			}
			for _, d := range none.Asked {
				if !strings.Contains(none.Error(), d.Place+" asks for") && !strings.Contains(none.Error(), d.Place+" allows only") {
					t.Errorf("%s takes part, but isn't told", d.Place)
				}
			}
		})
	}
}

// TestAskedIsWhatMatters: lines that have nothing to do with it are not blamed.
func TestAskedIsWhatMatters(t *testing.T) {
	_, err := solve(t, newWorld(t, "a 1: c==1", "b 1: c==2", "c 1", "c 2", "z 1"), "r.txt:1@z", "r.txt:2@a", "r.txt:3@b")
	var none *solver.ConflictError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	var places []string
	for _, d := range none.Asked {
		places = append(places, d.Place)
	}
	slices.Sort(places)
	if d := cmp.Diff([]string{"r.txt:2", "r.txt:3"}, places); d != "" {
		t.Error(d)
	}
}

// TestBackjump: the choices between the cause of a conflict and its finding are
// not tried one by one.
func TestBackjump(t *testing.T) {
	lines := []string{"a 2: z==1", "a 1", "z 2", "z 1", "q 1: z==2"}
	asks := []string{"a", "last"}
	for i := range 20 {
		asks = append(asks, fmt.Sprintf("m%02d", i))
		for v := 10; v > 0; v-- {
			lines = append(lines, fmt.Sprintf("m%02d %d", i, v))
		}
	}
	for v := 12; v > 0; v-- {
		lines = append(lines, fmt.Sprintf("last %d: q", v))
	}
	w := newWorld(t, lines...)
	got, err := solve(t, w, asks...)
	if err != nil || !strings.Contains(got, "a 1, ") {
		t.Fatal(got, err)
	}
	if n := len(w.looked); n > 40 {
		t.Errorf("looked into %d versions: %v", n, w.looked)
	}
}

// TestUnusableVersionsAreOneStep: a thousand versions without a wheel are not a
// thousand steps.
func TestUnusableVersionsAreOneStep(t *testing.T) {
	var lines []string
	for v := range 1000 {
		lines = append(lines, fmt.Sprintf("a %d! no wheel", v))
	}
	_, err := solve(t, newWorld(t, lines...), "r.txt:1@a")
	if want := "Because r.txt:1 asks for a and every version of a can't be used (no wheel), no versions fit."; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestErrorsEndTheSearch(t *testing.T) {
	w := newWorld(t, "a 1: b", "b 1")
	w.broken["b"] = errors.New("the index is down")
	if _, err := solve(t, w, "a"); !errors.Is(err, w.broken["b"]) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := solver.Solve(ctx, dependencies([]string{"a"}, ""), w); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestSameEachTime: neither the versions nor the explanation depend on the order
// of Go's maps.
func TestSameEachTime(t *testing.T) {
	lines := hard(6, 8, false)
	first, firstErr := solve(t, newWorld(t, lines...), "p")
	no, noErr := solve(t, newWorld(t, hard(5, 6, true)...), "p")
	for range 5 {
		if again, err := solve(t, newWorld(t, lines...), "p"); again != first || (err == nil) != (firstErr == nil) {
			t.Fatalf("got %q and %q", first, again)
		}
		if _, err := solve(t, newWorld(t, hard(5, 6, true)...), "p"); err == nil || noErr == nil || err.Error() != noErr.Error() {
			t.Fatalf("%q: got\n%v\nand\n%v", no, noErr, err)
		}
	}
}
