//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
)

// problems are what Check has to say of a tree, notes apart.
func (w *world) problems(t testing.TB, tree filesystem.Tree) (problems, notes string) {
	t.Helper()
	ps, err := w.host.Check(t.Context(), w.env, []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if p.Note {
			notes += p.Item + ": " + p.Reason + "\n"
		} else {
			problems += p.Item + ": " + p.Reason + ". " + p.Fix + "\n"
		}
	}
	return problems, notes
}

// A plan says what globs match now, and what of that they can't protect.
func TestGlobNotes(t *testing.T) {
	w := newWorld(t, globFiles())
	tree := w.usual(box1)
	tree.Patterns = append([]filesystem.Pattern{hides("none*")}, globs...)
	w.shell(t, "ln a.pem b.txt; ln deep/er/b.pem deep/er/c.pem; ln -s app.py l.pem; ln blast.hcl rules")
	problems, notes := w.problems(t, tree)
	want := `workspace.read_only: blast.hcl has 1 other names (hard links): by one that the sandbox sees and no line protects it can be written
workspace.hide: none* matches nothing yet
workspace.hide: *.pem matches 3 now: a.pem, deep/er/b.pem, deep/er/c.pem
workspace.hide: secrets/ matches 1 now: deep/secrets
workspace.hide: conf/*.key matches 1 now: conf/a.key
workspace.read_only: *.lock matches 1 now: src/a.lock
workspace.read_only: gen matches 1 now: src/gen
workspace.hide: 1 symbolic links match a pattern and stay as they are: what one leads to is protected if it matches, too
workspace.hide: a.pem has 1 other names (hard links): by one that the sandbox sees and no line protects it can be read
`
	if problems != "" || notes != want {
		t.Errorf("%s\n%s", problems, notes)
	}
}

// Too many matches are told before anything is done, and end a sandbox that makes them.
func TestTooManyFinds(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	w.must(t, box1, "mkdir /workspace/many")
	_, _ = w.run(t, box1, "cd /workspace/many && for i in $(seq 2100); do true >$i.pem; done 2>/dev/null")
	eventually(t, "the sandbox lives", func() bool { return strings.HasPrefix(w.mountinfo(t, box1), "not running") })
	eventually(t, "nobody says why it was ended", func() bool { return strings.Contains(w.log.String(), "patterns match more than 2000 paths") })
	if problems, _ := w.problems(t, tree); !strings.Contains(problems, `workspace.hide: patterns match more than 2000 paths, and each takes a mount. Name the folders that they lie in, instead of "*.pem".`) {
		t.Error(problems)
	}
}

// What many files and many masks cost: go test -run XXX -bench Glob.
func BenchmarkGlobs(b *testing.B) {
	for _, n := range []struct{ files, finds int }{{100_000, 10}, {0, 500}, {0, 1900}} {
		b.Run(fmt.Sprint(n.files, " files, ", n.finds, " finds"), func(b *testing.B) {
			w := newWorld(b, globFiles())
			for i := range n.files / 100 {
				dir := w.path(fmt.Sprintf("many/%d", i))
				if err := os.MkdirAll(dir, 0o755); err != nil {
					b.Fatal(err)
				}
				for k := range 100 {
					if err := os.WriteFile(fmt.Sprintf("%s/%d.txt", dir, k), nil, 0o644); err != nil {
						b.Fatal(err)
					}
				}
			}
			for i := range n.finds {
				w.put(b, fmt.Sprintf("found/%d.pem", i), "x")
			}
			w.start(b, box1)
			tree := w.usual(box1)
			tree.Patterns = globs
			begun := time.Now()
			w.problems(b, tree)
			check := time.Since(begun)
			begun = time.Now()
			w.create(b, tree)
			apply := time.Since(begun)
			begun = time.Now()
			w.sync(b)
			guard := time.Since(begun)
			begun = time.Now()
			w.put(b, "late.pem", "x")
			for len(w.observed(b).Drift) > 0 || !strings.Contains(w.mountinfo(b, box1), "late.pem") {
			}
			late := time.Since(begun)
			w.put(b, "many/0/late.txt", "x")
			for b.Loop() {
				w.observed(b)
			}
			for unit, took := range map[string]time.Duration{"check": check, "apply": apply, "guard": guard, "late": late} {
				b.ReportMetric(float64(took.Microseconds())/1000, "ms/"+unit)
			}
		})
	}
}
