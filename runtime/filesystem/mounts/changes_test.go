//go:build linux

package mounts_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/overlay"
)

func (w *world) objects(tree filesystem.Tree) []plan.Object {
	return []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)}
}

func (w *world) changes(t testing.TB, tree filesystem.Tree) []overlay.Change {
	t.Helper()
	cs, err := w.host.Changes(t.Context(), w.env, w.objects(tree), false)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// listed is the changes in short: "A path".
func listed(cs []overlay.Change) string {
	var all []string
	for _, c := range cs {
		all = append(all, c.Kind+" "+c.Path)
	}
	return strings.Join(all, "\n")
}

// paths chooses what is at or below one of them; none is all.
func paths(ps ...string) func([]overlay.Change) ([]overlay.Change, error) {
	return func(all []overlay.Change) ([]overlay.Change, error) {
		chosen, none := overlay.Select(all, ps)
		if len(none) > 0 {
			return nil, fmt.Errorf("no change at %v", none)
		}
		return chosen, nil
	}
}

func (w *world) take(t testing.TB, tree filesystem.Tree, ps ...string) int {
	t.Helper()
	stay, err := w.host.Take(t.Context(), w.env, w.objects(tree), paths(ps...))
	if err != nil {
		t.Fatal(err)
	}
	return stay
}

func (w *world) discard(t testing.TB, tree filesystem.Tree, ps ...string) {
	t.Helper()
	if _, err := w.host.Discard(t.Context(), w.env, w.objects(tree), paths(ps...)); err != nil {
		t.Fatal(err)
	}
}

// What commands did is listed, and nothing of what keeps places.
// TestPatternsAreNotTaken: what a pattern protects is none of a command's to bring in.
func TestPatternsAreNotTaken(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "one", "d/k.pem": "secret"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	tree.Patterns = []filesystem.Pattern{hides("*.pem"), keeps("/gen/*")}
	w.create(t, tree)
	_, _ = w.run(t, box1, "cd /workspace; true >made.pem; mkdir gen n.pem; true >gen/x; true >n.pem/y; echo two >a")
	if got := listed(w.changes(t, tree)); got != "M a\nA gen" {
		t.Error(got)
	}
	w.take(t, tree)
	if got := w.files(t); strings.Contains(got, "made.pem") || strings.Contains(got, "gen/x") || strings.Contains(got, "n.pem") {
		t.Error(got)
	}
}

func TestChanges(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one", "same.py": "same", "pkg/b.py": "two", "pkg/c.py": "three", "old/x": "x", "old/y": "y", "blast.hcl": "rules"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	if got := listed(w.changes(t, tree)); got != "" {
		t.Errorf("nothing was written: %s", got)
	}
	w.must(t, box1, `set -e; cd /workspace; echo longer > a.py; printf same > same.py; touch same.py
		rm pkg/b.py; chmod +x pkg/c.py; rm -r old; mkdir old; echo z > old/z; printf y > old/y
		ln -s nowhere link; mkfifo pipe; mkdir .git/objects; echo h > .git/HEAD; truncate -s 1T huge`)
	want := "A .git\nA .git/HEAD\nA .git/objects\nM a.py\nA huge\nA link\nD old/x\nA old/z\nA pipe\nD pkg/b.py\nM pkg/c.py"
	cs := w.changes(t, tree)
	if got := listed(cs); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	by := map[string]overlay.Change{}
	for _, c := range cs {
		by[c.Path] = c
	}
	if !slices.Contains(by["pkg/c.py"].Marks, "executable") || !slices.Contains(by[".git/HEAD"].Marks, "inside .git") || by["pipe"].Refused == "" || by["huge"].Size != 1<<40 {
		t.Errorf("%+v", by)
	}
	for _, c := range cs {
		if c.Conflict != "" {
			t.Errorf("nobody changed %s in the project: %s", c.Path, c.Conflict)
		}
	}
	time.Sleep(20 * time.Millisecond) // the kernel's clock for files ticks every few
	w.put(t, "a.py", "three")
	for _, c := range w.changes(t, tree) {
		if (c.Conflict != "") != (c.Path == "a.py") {
			t.Errorf("%s: %q", c.Path, c.Conflict)
		}
	}
}

// What is accepted is the person's, as a file of any other, and nothing of a sandbox's comes along.
func TestTake(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one", "gone.py": "x", "dir/deep/f": "f", "blast.hcl": "rules"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	w.sync(t)
	w.must(t, box1, `set -e; cd /workspace; echo two > a.py; rm gone.py; rm -r dir; echo file > dir; mkdir -p new/er; cp /bin/true new/er/prog; chmod 755 new/er/prog
		ln -s a.py link; truncate -s 100M sparse; python3 -c "import os; os.setxattr('a.py', 'user.note', b'x')"`)
	w.inside(t, box1, "chmod", "6755", "/workspace/new/er/prog") // no command could: it takes a hole in seccomp
	w.must(t, box1, "exec 9>>/workspace/held; echo first >&9; (while test ! -e /tmp/go; do sleep 0.01; done; echo second >&9) >/dev/null 2>&1 &")
	if stay := w.take(t, tree); stay != 0 {
		t.Errorf("%d stay", stay)
	}
	if got := listed(w.changes(t, tree)); got != "" {
		t.Errorf("left: %s", got)
	}
	var st unix.Stat_t
	for name, mode := range map[string]uint32{"a.py": 0o644, "new/er/prog": 0o755, "sparse": 0o644} {
		if err := unix.Lstat(w.path(name), &st); err != nil || st.Uid != person || st.Gid != person || st.Mode != unix.S_IFREG|mode {
			t.Errorf("%s: %+v %v", name, st, err)
		}
	}
	if st.Blocks > 1000 && st.Size == 100<<20 {
		t.Errorf("the holes are gone: %d blocks", st.Blocks)
	}
	if n, _ := unix.Llistxattr(w.path("a.py"), make([]byte, 100)); n != 0 {
		t.Error("attributes came along")
	}
	if _, err := os.Lstat(w.path("gone.py")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if b, err := os.ReadFile(w.path("dir")); string(b) != "file\n" {
		t.Errorf("%q %v", b, err)
	}
	// What the host changes now shows at once: nothing of it is in the layer.
	for _, name := range []string{"a.py", "new/er/more"} {
		w.put(t, name, "host")
	}
	if out := w.must(t, box1, "cat /workspace/a.py /workspace/new/er/more; touch /tmp/go"); out != "hosthost" {
		t.Error(out)
	}
	if _, err := os.Lstat(filepath.Join(w.env.Dir, "accept")); err == nil {
		t.Error("its folder is left")
	}
}

// A command that works in a folder goes on in it, whatever becomes of what it wrote.
func TestTakeWhileACommandIsThere(t *testing.T) {
	w := newWorld(t, map[string]string{"a.py": "one"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	w.must(t, box1, "cd /workspace; mkdir new; echo 1 > new/one; echo 2 > new/two; echo x > a.py")
	done := w.spawn(t.Context(), box1, "/bin/sh", "-c", "cd /workspace/new; touch /tmp/in; until test -e /tmp/go; do sleep 0.01; done; cat one two && cd .. && cat a.py && echo w > a.py")
	eventually(t, "it is not there", func() bool { code, _ := w.run(t, box1, "test -e /tmp/in"); return code == 0 })
	stay := w.take(t, tree, "new/one", "a.py")
	if stay != 1 {
		t.Errorf("%d stay", stay)
	}
	if got := listed(w.changes(t, tree)); got != "A new/two" {
		t.Errorf("left: %s", got)
	}
	w.must(t, box1, "touch /tmp/go")
	if code, out := done(); code != 0 || out != "1\n2\nx\n" {
		t.Errorf("%d %q", code, out)
	}
	if got := listed(w.changes(t, tree)); got != "M a.py\nA new/two" {
		t.Errorf("after it: %s", got)
	}
	if stay := w.take(t, tree); stay != 0 {
		t.Errorf("%d stay", stay)
	}
}

// A race for the path while it is taken over ends with all or nothing, and never outside.
func TestTakeFollowsNothing(t *testing.T) {
	w := newWorld(t, map[string]string{"d/e/f": "one", "a": "a"})
	outside := t.TempDir()
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	w.must(t, box1, "cd /workspace; echo two > d/e/f; echo new > d/e/g; echo b > a")
	if err := errors.Join(os.RemoveAll(w.path("d/e")), os.Symlink(outside, w.path("d/e"))); err != nil {
		t.Fatal(err)
	}
	_, err := w.host.Take(t.Context(), w.env, w.objects(tree), func(all []overlay.Change) ([]overlay.Change, error) {
		return []overlay.Change{{Path: "a", Kind: overlay.Modified, Type: overlay.File, Before: overlay.File, Size: 2, Mode: 0o644}, {Path: "d/e/g", Kind: overlay.Added, Type: overlay.File, Size: 4, Mode: 0o644}}, nil
	})
	if err == nil {
		t.Error("it went through a link")
	}
	if es, _ := os.ReadDir(outside); len(es) > 0 {
		t.Errorf("outside: %v", es)
	}
	if b, _ := os.ReadFile(w.path("a")); string(b) != "a" {
		t.Errorf("half of it was done: %q", b)
	}
}

// A full disk leaves the project as it was.
func TestTakeOnAFullDisk(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "a", "b": "b"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	w.must(t, box1, "cd /workspace; echo changed > a; head -c 20000000 /dev/urandom > b; echo new > c")
	before := w.files(t)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 16 << 20, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := w.host.Take(t.Context(), w.env, w.objects(tree), paths())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("it had no room")
	}
	if got := w.files(t); got != before {
		t.Errorf("%.300q, and it was %.300q: %v", got, before, err)
	}
	if got := listed(w.changes(t, tree)); got != "M a\nM b\nA c" {
		t.Error(got)
	}
	w.take(t, tree)
}

// Whenever the process that takes over is killed, the next one finds all or nothing of it, and no
// change is in neither place.
func TestKilledWhileTaking(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "a", "gone": "x", "d/e": "e"})
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	var all, nothing, ended int
	for n := 0; ended < 2 && n < 80; n++ {
		w.must(t, box1, fmt.Sprintf("cd /workspace; echo %d > a; rm -rf gone d new*; mkdir -p new%d/er; for i in 1 2 3 4 5 6 7 8; do echo $i > new%d/er/$i; done; head -c 250000 /dev/urandom | od -x > big", n, n, n))
		before, seen := w.onDisk(t), w.seen(t)
		over := w.killedAt(t, map[string]any{"Env": w.env, "Take": w.objects(tree)}, time.Duration(n)*4*time.Millisecond)
		if w.host.Half(w.env) {
			if err := w.host.Recover(t.Context(), w.env, w.objects(tree)); err != nil {
				t.Fatal(err)
			}
		}
		got := w.onDisk(t)
		switch got {
		case seen:
			all++
			if left := listed(w.changes(t, tree)); left != "" {
				t.Fatalf("%d: taken over, and still in the layer: %s", n, left)
			}
		case before:
			nothing++
		default:
			t.Fatalf("%d: half of it:\n%s\nbefore:\n%s\nseen:\n%s", n, got, before, seen)
		}
		if got := w.seen(t); got != seen {
			t.Fatalf("%d: commands see something else:\n%s\nbefore:\n%s", n, got, seen)
		}
		if over {
			ended++
		}
		if w.host.Half(w.env) {
			t.Fatal("its folder is left")
		}
	}
	t.Logf("%d whole, %d nothing", all, nothing)
	if all == 0 || nothing == 0 {
		t.Error("no kill hit: the test shows nothing")
	}
}

// Whatever commands did in whatever order: what is accepted is what they saw, and what
// is discarded is as if they had done nothing.
func TestRandomWrites(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	w := newWorld(t, nil)
	w.start(t, box1)
	tree := w.overlaid(box1)
	w.create(t, tree)
	for n := range rounds {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		script := randomWrites(r, 40)
		w.must(t, box1, "cd /workspace; "+script+" true")
		seen := w.seen(t)
		switch n % 3 {
		case 0:
			w.take(t, tree)
			if got := w.onDisk(t); got != seen {
				t.Fatalf("round %d: %s\naccepted:\n%s\nseen:\n%s", n, script, got, seen)
			}
		case 1:
			before := w.onDisk(t)
			w.discard(t, tree)
			if got := w.onDisk(t); got != before {
				t.Fatalf("round %d: the project was changed:\n%s\nwas\n%s", n, got, before)
			}
		case 2: // some of each
			cs := w.changes(t, tree)
			for _, c := range cs {
				if c.Type != overlay.Folder && r.IntN(2) == 0 {
					w.take(t, tree, c.Path)
				}
				if got := w.seen(t); got != seen {
					t.Fatalf("round %d: %s\ntaking over %s %s changed what is seen:\n%s\nwas\n%s", n, script, c.Kind, c.Path, got, seen)
				}
			}
			w.discard(t, tree)
		}
		if got, want := w.seen(t), w.onDisk(t); got != want {
			t.Fatalf("round %d: %s\nseen:\n%s\nproject:\n%s", n, script, got, want)
		}
		if got := listed(w.changes(t, tree)); got != "" {
			t.Fatalf("round %d: left:\n%s", n, got)
		}
	}
}

func randomWrites(r *rand.Rand, n int) string {
	names := []string{"a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b", "d/e", "d", "f/g/h", "f/g", "f"}
	pick := func() string { return names[r.IntN(len(names))] }
	var b strings.Builder
	for range n {
		p, q := pick(), pick()
		switch r.IntN(7) {
		case 0, 1:
			fmt.Fprintf(&b, "echo %d > %s; ", r.IntN(1000), p)
		case 2:
			fmt.Fprintf(&b, "rm -rf %s; ", p)
		case 3:
			fmt.Fprintf(&b, "mkdir -p %s; ", p)
		case 4:
			fmt.Fprintf(&b, "mv %s %s; ", p, q)
		case 5:
			fmt.Fprintf(&b, "ln -s %d %s; ", r.IntN(10), p)
		case 6:
			fmt.Fprintf(&b, "chmod %s %s; ", []string{"700", "755"}[r.IntN(2)], p)
		}
	}
	return "{ " + b.String() + "} 2>/dev/null;"
}

const listing = `import os, stat
for d, ds, fs in os.walk(%q):
    ds[:] = [x for x in ds if x not in (".blast", ".git", ".env")]
    for x in sorted(ds + fs):
        if x in (".env", "blast.hcl"): continue
        p = os.path.join(d, x); s = os.lstat(p); q = os.path.relpath(p, %q)
        if stat.S_ISDIR(s.st_mode): print(q + "/")
        elif stat.S_ISLNK(s.st_mode): print(q, "->", os.readlink(p))
        else: print(q, oct(s.st_mode), open(p).read().strip())
`

func lines(s string) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// seen is the project as commands see it.
func (w *world) seen(t testing.TB) string {
	t.Helper()
	code, out := w.exec(t, box1, "python3", "-c", fmt.Sprintf(listing, "/workspace", "/workspace"))
	if code != 0 {
		t.Fatal(out)
	}
	return lines(out)
}

// onDisk is the project as it is on the host.
func (w *world) onDisk(t testing.TB) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(w.env.Project, func(p string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(w.env.Project, p)
		switch {
		case err != nil || rel == ".":
			return err
		case rel == ".blast" || rel == ".git":
			return fs.SkipDir
		case d.IsDir():
			all = append(all, rel+"/")
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			all = append(all, rel+" -> "+to)
			return nil
		}
		var st unix.Stat_t
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		all = append(all, fmt.Sprintf("%s 0o%o %s", rel, st.Mode, strings.TrimSpace(string(b))))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines(strings.Join(all, "\n"))
}
