//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
)

func hides(glob string) filesystem.Pattern {
	return filesystem.Pattern{Name: "workspace.hide", Type: filesystem.Hide, Glob: glob}
}

func keeps(glob string) filesystem.Pattern {
	return filesystem.Pattern{Name: "workspace.read_only", Type: filesystem.ReadOnly, Glob: glob}
}

// globFiles are a project with what globs match in it.
func globFiles() map[string]string {
	return map[string]string{
		".env": "secret\n", "blast.hcl": "#\n", "app.py": "print()\n",
		"a.pem": "secret\n", "deep/er/b.pem": "secret\n", "deep/er/b.txt": "x\n", "deep/secrets/key": "secret\n",
		"src/a.lock": "x\n", "src/gen/a.gen": "x\n", "conf/a.key": "secret\n", "conf/sub/a.key": "no secret\n",
	}
}

var globs = []filesystem.Pattern{hides("*.pem"), {Name: "workspace.hide", Type: filesystem.Hide, Glob: "secrets", Dir: true}, hides("/conf/*.key"), keeps("*.lock"), keeps("gen")}

// globbed is a world with globs, whose tree is up and guarded.
func globbed(t testing.TB, files map[string]string, globs ...filesystem.Pattern) (*world, filesystem.Tree) {
	t.Helper()
	w := newWorld(t, files)
	w.start(t, box1)
	tree := w.usual(box1)
	tree.Patterns = globs
	w.create(t, tree)
	w.sync(t)
	return w, tree
}

// refuses checks that a script fails inside.
func (w *world) refuses(t testing.TB, id string, scripts ...string) {
	t.Helper()
	for _, s := range scripts {
		if code, out := w.run(t, id, "cd /workspace && "+s); code == 0 || !refused.MatchString(out) {
			t.Errorf("%s: exit %d: %s", s, code, out)
		}
	}
}

// refused is what programs say where the kernel refuses, and not where a path is absent.
var refused = regexp.MustCompile("Permission denied|Read-only file system|busy")

// What a glob matches is protected as if a line named it, and nothing else is.
func TestGlobs(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	w.refuses(t, box1, "cat a.pem", "cat deep/er/b.pem", "ls deep/secrets", "cat deep/secrets/key", "cat conf/a.key",
		"echo x >a.pem", "rm a.pem", "mv a.pem b", "mv deep d", "mv deep/er d", "rmdir deep/secrets", "mv deep/secrets s",
		"echo x >src/a.lock", "rm src/a.lock", "mv src s", "echo x >src/gen/a.gen", "touch src/gen/new")
	w.must(t, box1, "cd /workspace && cat deep/er/b.txt src/a.lock src/gen/a.gen conf/sub/a.key && echo x >deep/er/new && mv conf/sub conf/sub2 && mv conf/sub2 conf/sub")
	w.sees(t, tree)
	w.commit(t, w.apply(t, &tree, nil))
	w.must(t, box1, "! test -e /workspace/a.pem")
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
	for name, content := range globFiles() {
		if b, err := os.ReadFile(w.path(name)); err != nil || string(b) != content {
			t.Errorf("%s is now %q (%v)", name, b, err)
		}
	}
}

// What comes later is protected within milliseconds, whoever makes it and however, and is no drift.
func TestGlobsFollow(t *testing.T) {
	for name, c := range map[string]struct{ host, attack string }{
		"made":                         {"echo secret >new.pem", "cat new.pem"},
		"made deep":                    {"mkdir -p n/e/w; echo secret >n/e/w/new.pem", "cat n/e/w/new.pem"},
		"renamed":                      {"echo secret >t; mv t new.pem", "cat new.pem"},
		"a folder renamed":             {"mkdir -p t/u; echo secret >t/u/new.pem; mv t v", "cat v/u/new.pem"},
		"hard link":                    {"echo secret >t; ln t new.pem", "cat new.pem"},
		"a folder that is hidden":      {"mkdir -p x/secrets; echo secret >x/secrets/k", "cat x/secrets/k"},
		"renamed to one":               {"mkdir -p x/y; echo secret >x/y/k; mv x/y x/secrets", "cat x/secrets/k"},
		"moved in from outside":        {"mkdir /tmp/$$.x; echo secret >/tmp/$$.x/new.pem; cp -r /tmp/$$.x t; rm -r /tmp/$$.x; mv t u", "cat u/new.pem"},
		"replaced":                     {"echo secret >t; mv t a.pem", "cat a.pem"},
		"removed and made":             {"rm a.pem; echo secret >a.pem", "cat a.pem"},
		"its folder renamed":           {"mv deep deep2", "cat deep2/er/b.pem"},
		"its folder replaced":          {"mv deep deep2; mkdir -p deep/er; echo secret >deep/er/b.pem", "cat deep/er/b.pem"},
		"a read-only file":             {"echo x >new.lock", "echo y >>new.lock"},
		"a link turned to a file":      {"ln -s /etc/passwd l.pem; rm l.pem; echo secret >l.pem", "cat l.pem"},
		"a file turned to a folder":    {"rm a.pem; mkdir a.pem; echo secret >a.pem/k", "cat a.pem/k"},
		"a folder turned to a file":    {"rm -r src/gen; echo secret >src/gen", "echo y >src/gen"},
		"many":                         {"for i in $(seq 200); do echo secret >n$i.pem; done", "cat n200.pem"},
		"many folders":                 {"for i in $(seq 100); do mkdir -p d$i/e; echo secret >d$i/e/x.pem; done", "cat d100/e/x.pem"},
		"what was found goes for good": {"rm -r deep a.pem; echo secret >b.pem", "cat b.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			w, tree := globbed(t, globFiles(), globs...)
			w.shell(t, c.host)
			begun := time.Now()
			eventually(t, "not protected: "+w.log.String(), func() bool { _, out := w.run(t, box1, "cd /workspace && "+c.attack); return refused.MatchString(out) })
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("nothing told it: protected after %v", took)
			}
			w.sees(t, tree)
			w.must(t, box1, "cd /workspace && echo x >x.txt && cat x.txt")
			before := w.tree(t)
			w.commit(t, w.apply(t, &tree, nil))
			w.end(t, box1)
			w.sync(t)
			w.nothingLeft(t)
			if after := w.tree(t); after != before && !strings.Contains(before, "git") {
				t.Errorf("was\n%s\nis\n%s", before, after)
			}
		})
	}
}

// tree lists the project without what an environment puts there.
func (w *world) tree(t testing.TB) string {
	t.Helper()
	var all []string
	_ = filepath.WalkDir(w.env.Project, func(p string, _ os.DirEntry, _ error) error {
		if rel := strings.TrimPrefix(p, w.env.Project); !strings.HasPrefix(rel, "/.blast") && !strings.HasPrefix(rel, "/.git") {
			all = append(all, rel)
		}
		return nil
	})
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// A file that a glob matches and that commands make and remove again is nobody's end.
func TestGlobsLetFilesComeAndGo(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	w.must(t, box1, `cd /workspace && for i in $(seq 3000); do echo >n$i.lock; rm -f n$i.lock; mkdir d; echo >d/n.pem; rm -rf d; mv d d2; done 2>/dev/null; exit 0`)
	w.must(t, box1, "true")
	w.shell(t, "rm -rf n*.lock d d2")
	eventually(t, "not as wanted: "+w.log.String(), func() bool { return len(w.observed(t).Drift) == 0 })
	w.refuses(t, box1, "cat a.pem", "cat deep/er/b.pem")
	w.sees(t, tree)
}

// A second blastd knows what came while there was none, and a match that nobody masked is drift.
func TestGlobsAfterRestart(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.put(t, "later/new.pem", "secret\n")
	if drift := w.observed(t).Drift; !slices.Contains(drift, "/workspace/later/new.pem is not hidden") {
		t.Errorf("%q", drift)
	}
	w.refuses(t, box1, "cat a.pem") // masks stay
	w.must(t, box1, "cat /workspace/later/new.pem")
	w.sync(t)
	w.refuses(t, box1, "cat later/new.pem")
	w.sees(t, tree)
}

// Globs hold where a mount shows the same files at another place.
func TestGlobsInMounts(t *testing.T) {
	w := newWorld(t, globFiles())
	w.start(t, box1)
	tree := w.usual(box1,
		filesystem.Mount{Name: "mount./opt/deep", Target: "/opt/deep", Type: filesystem.Bind, Source: w.path("deep"), Access: "rw", Exec: true},
		filesystem.Mount{Name: "mount./workspace/src", Target: "/workspace/src", Type: filesystem.Bind, Source: w.path("conf"), Access: "rw", Exec: true})
	tree.Patterns = globs
	w.create(t, tree)
	w.sync(t)
	w.refuses(t, box1, "cat /opt/deep/er/b.pem", "cat /opt/deep/secrets/key", "cat src/a.key", "mv /opt/deep/er /opt/deep/x")
	w.must(t, box1, "cat /opt/deep/er/b.txt /workspace/src/sub/a.key")
	w.shell(t, "echo secret >deep/new.pem; echo secret >conf/new.key")
	eventually(t, "not protected", func() bool {
		a, _ := w.run(t, box1, "cat /opt/deep/new.pem")
		b, _ := w.run(t, box1, "cat /workspace/src/new.key")
		c, _ := w.run(t, box1, "cat /workspace/deep/new.pem")
		return a != 0 && b != 0 && c != 0
	})
	w.sees(t, tree)
}

// A literal path and a glob for the same, and one in the other.
func TestGlobsAndPaths(t *testing.T) {
	w, tree := globbed(t, map[string]string{"keys/a": "x", ".git/config": "x", ".git/hooks/": "", "other/blast.hcl": "x"},
		hides(".git*"), keeps("keys"), hides("blast.hcl"))
	tree2 := tree
	tree2.Mounts = append(slices.Clone(tree.Mounts), filesystem.Mount{Name: "workspace.hide", Target: "/workspace/keys/a", Type: filesystem.Hide})
	w.commit(t, w.apply(t, &tree, &tree2))
	w.sync(t)
	w.refuses(t, box1, "ls .git", "cat .git/config", "cat blast.hcl", "cat other/blast.hcl", "cat keys/a", "touch keys/b")
	w.sees(t, tree2)
}

// How long a file that the host makes can be read: go test -run Gap -v.
func TestGlobGap(t *testing.T) {
	w, _ := globbed(t, globFiles(), globs...)
	pid := w.pid(t, box1)
	var took []time.Duration
	for i := range 200 {
		name := fmt.Sprintf("gap%d.pem", i)
		begun := time.Now()
		w.put(t, name, "secret\n")
		inside := fmt.Sprintf("/proc/%d/root/workspace/%s", pid, name)
		for {
			fi, err := os.Stat(inside)
			if err == nil && fi.Mode().Perm() == 0 {
				break
			}
			if time.Since(begun) > 5*time.Second {
				t.Fatal("never hidden: ", err)
			}
			time.Sleep(20 * time.Microsecond)
		}
		took = append(took, time.Since(begun))
		if i%2 == 0 {
			w.shell(t, "rm "+name)
		}
	}
	slices.Sort(took)
	t.Logf("hidden after %v (p50), %v (p99), %v at most", took[100], took[197], took[199])
}
