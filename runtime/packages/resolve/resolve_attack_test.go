package resolve_test

import (
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
)

// TestSavedPlanIsNotBelieved: what a saved plan has settled is taken only if it
// answers what is asked now, from hosts that rules allow now.
func TestSavedPlanIsNotBelieved(t *testing.T) {
	_, root := serve(t, "good 1.0", "good 2.0", "evil 1.0")
	s := newSetup(t, root, "good")
	was, diags := s.resolve(t)
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	settle := func(change func(*packages.Set)) {
		forged := was
		forged.Packages = append([]packages.Pinned{}, was.Packages...)
		change(&forged)
		s.settled = []plan.Object{plan.NewObject(packages.SetAddr, forged, nil)}
	}
	settle(func(*packages.Set) {})
	if got := s.must(t); got != "good 2.0" {
		t.Errorf("as it was saved: %s", got)
	}
	settle(func(f *packages.Set) {
		f.Lock.Path = s.project + "/blast.hcl"
		f.Python.Path = "/tmp/python3.12"
		f.Packages[0].SHA256 = strings.Repeat("0", 64)
	})
	if got, _ := s.resolve(t); got.Lock.Path != was.Lock.Path || got.Python != was.Python || got.Packages[0].SHA256 != was.Packages[0].SHA256 {
		t.Errorf("beside the lock: %+v", got)
	}
	for name, change := range map[string]func(*packages.Set){
		"another host": func(f *packages.Set) { f.Lock.Content = strings.ReplaceAll(f.Lock.Content, "127.0.0.1", "192.0.2.1") },
		"another name": func(f *packages.Set) { f.Lock.Content = strings.ReplaceAll(f.Lock.Content, "good", "evil") },
		"other wishes": func(f *packages.Set) {
			f.Lock.Content = strings.Replace(f.Lock.Content, "requirements = ", "requirements = 'x' #", 1)
		},
		"no lock":        func(f *packages.Set) { f.Lock.Content = "" },
		"no lock at all": func(f *packages.Set) { f.Lock.Content = "x" },
	} {
		settle(change)
		if said := s.fails(t); !strings.Contains(said, "Plan again") && !strings.Contains(said, "no rule allows") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// TestSnapshotOfAnotherPython: the packages of a snapshot were chosen for one interpreter,
// and the error says for which.
func TestSnapshotOfAnotherPython(t *testing.T) {
	_, root := serve(t, "good 1.0")
	s := newSetup(t, root, "good")
	was, diags := s.resolve(t)
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	s.of = "snapshot clean"
	was.Python = packages.Interpreter{Version: "2.7.18"}
	s.settled = []plan.Object{plan.NewObject(packages.SetAddr, was, nil)}
	if got := s.must(t); got != "good 1.0" {
		t.Errorf("control: %s", got)
	}
	was.Lock.Content = strings.Replace(was.Lock.Content, "interpreter = ", "interpreter = 'other' #", 1)
	s.settled = []plan.Object{plan.NewObject(packages.SetAddr, was, nil)}
	if said := s.fails(t); !strings.Contains(said, "snapshot clean") || !strings.Contains(said, "Python 2.7.18") || strings.Contains(said, "Plan again") {
		t.Error(said)
	}
}
