package state

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
)

// projects are folders that may be moved about.
type projects struct {
	t    testing.TB
	root string
}

func newProjects(t testing.TB) *projects {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files away, and finding a folder again takes a right")
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runRoot = filepath.Join(root, "run")
	t.Cleanup(func() { runRoot = RunRoot })
	return &projects{t, root}
}

func (p *projects) dir(name string) string { return filepath.Join(p.root, name) }

// open opens the default environment of a project, which must work.
func (p *projects) open(name string) Env {
	p.t.Helper()
	e, err := Open(p.dir(name), "default", 1000, 1000)
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// apply does what the daemon does of an apply, without anything on the host.
func (p *projects) apply(name string) Env {
	p.t.Helper()
	if err := os.MkdirAll(p.dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	e := p.open(name)
	unlock, err := e.Lock("test", 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer unlock()
	st, err := e.Load()
	if err != nil {
		p.t.Fatal(err)
	}
	if st.Lineage == "" {
		st.Lineage = NewLineage()
	}
	if err := errors.Join(e.Renew(), e.Claim(st.Lineage, nil)); err != nil {
		p.t.Fatal(err)
	}
	tx, err := e.Begin(plan.Plan{Version: 1, Env: e.Name, Lineage: st.Lineage, Serial: st.Serial, Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(tx.Commit(), tx.Close()); err != nil {
		p.t.Fatal(err)
	}
	return e
}

func (p *projects) do(args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), args[0], args[1:]...)
	cmd.Dir = p.root
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// reboot takes away what a reboot does.
func (p *projects) reboot(envs ...Env) {
	for _, e := range envs {
		_ = os.RemoveAll(e.Run)
	}
}

func (p *projects) isCopy(name, of string) {
	p.t.Helper()
	_, err := Open(p.dir(name), "default", 1000, 1000)
	var c *CopyError
	if !errors.As(err, &c) || c.Of.Project != p.dir(of) {
		p.t.Errorf("%s: %v, want that it is a copy of %s", name, err, of)
	}
}

func TestMovedProjectKeepsItsID(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.do("mv", "a", "b")
	if b := p.open("b"); b.ID != a.ID || b.Run != a.Run || b.Cgroup != a.Cgroup || b.Project != p.dir("b") {
		t.Errorf("%+v, want the id of %+v", b, a)
	}
	c, err := a.readClaim()
	if err != nil {
		t.Fatal(err)
	}
	if now, why := c.Now(); why != "" || now.Project != p.dir("b") {
		t.Errorf("it is at %+v, %q", now, why)
	}
	p.do("mv", "b", "c")
	if c := p.apply("c"); c.ID != a.ID {
		t.Errorf("applied as %s, want %s", c.ID, a.ID)
	}
	p.reboot(a)
	if c := p.open("c"); c.ID != a.ID {
		t.Errorf("after a reboot it is %s, want %s", c.ID, a.ID)
	}
}

// A first apply that died has no state, and its things are called by an id all the same.
func TestMovedInTheMiddleOfTheFirstApply(t *testing.T) {
	p := newProjects(t)
	p.do("mkdir", "a")
	e := p.open("a")
	lineage := NewLineage()
	if _, err := e.Begin(plan.Plan{Version: 1, Env: e.Name, Lineage: lineage}); err != nil {
		t.Fatal(err)
	}
	if err := e.Claim(lineage, nil); err != nil {
		t.Fatal(err)
	}
	p.do("mv", "a", "b")
	if b := p.open("b"); b.ID != e.ID {
		t.Errorf("%s, want %s", b.ID, e.ID)
	}
}

// Whoever makes a project in the place of one that was moved has nothing to do with it.
func TestNewProjectInTheOldPlace(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.do("mv", "a", "b")
	p.do("mkdir", "a")
	if n := p.open("a"); n.ID == a.ID {
		t.Error("it has the sandbox of the one that was moved")
	}
	n := p.apply("a")
	if b := p.open("b"); b.ID != a.ID || n.ID == a.ID {
		t.Errorf("moved %s, new %s, was %s", b.ID, n.ID, a.ID)
	}
	p.reboot(a, n)
	first := p.apply("a") // has an id of its own on record
	if b := p.apply("b"); b.ID != a.ID || first.ID != n.ID {
		t.Errorf("after a reboot: moved %s, new %s", b.ID, first.ID)
	}
}

// After a reboot nothing tells that the id is on record elsewhere. Who comes second
// takes another.
func TestIDThatAnotherHasByNow(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.do("mv", "a", "b")
	p.reboot(a)
	n := p.apply("a")
	if n.ID != a.ID {
		t.Fatalf("control: %s, want %s", n.ID, a.ID)
	}
	b := p.apply("b")
	if b.ID == a.ID {
		t.Error("two projects have one sandbox")
	}
	if again := p.open("b"); again.ID != b.ID {
		t.Errorf("%s, want %s as recorded", again.ID, b.ID)
	}
}

func TestCopyIsRefused(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.do("cp", "-a", "a", "b")
	p.isCopy("b", "a")
	if again := p.open("a"); again.ID != a.ID {
		t.Errorf("%s, want %s", again.ID, a.ID)
	}
	p.do("mv", "a", "c") // which stays what it is
	p.isCopy("b", "c")
	b, err := Open(p.dir("b"), "default", 1000, 1000)
	if err == nil {
		t.Fatal("control")
	}
	own, err := b.Fork()
	if err != nil || own.ID == a.ID {
		t.Fatalf("%+v, %v", own, err)
	}
	if opened := p.open("b"); opened.ID != own.ID {
		t.Errorf("%s, want %s", opened.ID, own.ID)
	}
	was, _ := p.open("c").Load()
	now, err := own.Load()
	if err != nil || now.Lineage == was.Lineage || now.ID != own.ID || len(now.Objects) != 1 || now.Origin.Of != "fork of "+a.ID {
		t.Errorf("%+v, %v", now, err)
	}
	p.apply("b")
	p.apply("c")
}

// A copy of a project that is not up may be what is used from now on. Then the other
// one is refused.
func TestCopyOfWhatIsDown(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.reboot(a)
	p.do("cp", "-a", "a", "b")
	if b := p.apply("b"); b.ID != a.ID {
		t.Fatalf("%s, want %s", b.ID, a.ID)
	}
	p.isCopy("a", "b")
	p.do("rm", "-r", "b")
	if again := p.open("a"); again.ID != a.ID {
		t.Errorf("%s, want %s", again.ID, a.ID)
	}
}

// What was lost is adopted by whom it belonged to, and by nobody else.
func TestLostRecords(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	p.do("cp", "-a", "a", "saved")
	p.do("rm", "-r", "a/.blast")
	if again := p.open("a"); again.ID != a.ID {
		t.Errorf("without records: %s, want %s", again.ID, a.ID)
	}
	if e, err := Open(p.dir("a"), "default", 1001, 1001); err != nil || e.ID == a.ID {
		t.Errorf("another person: %s, %v", e.ID, err)
	}
	if e, err := Open(p.dir("a"), "default", 0, 0); err != nil || e.ID != a.ID {
		t.Errorf("root: %s, %v", e.ID, err)
	}
	c, err := a.readClaim()
	if err != nil {
		t.Fatal(err)
	}
	if now, why := c.Now(); !now.Orphaned() || !strings.Contains(why, "records") {
		t.Errorf("%+v, %q", now, why)
	}
	p.do("cp", "-a", "saved/.blast", "a")
	if again := p.open("a"); again.ID != a.ID {
		t.Errorf("put back: %s, want %s", again.ID, a.ID)
	}
	if now, why := c.Now(); now.Dir != a.Dir || why != "" {
		t.Errorf("put back: %+v, %q", now, why)
	}
	p.do("rm", "-r", "a")
	if now, why := c.Now(); !now.Orphaned() || !strings.Contains(why, "folder is gone") {
		t.Errorf("%+v, %q", now, why)
	}
}

// On a file system that finds no folder again a copy is told by what lies where the
// claim says.
func TestWithoutHandles(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	c, err := a.readClaim()
	if err != nil {
		t.Fatal(err)
	}
	c.Folder.Handle = nil
	if err := a.WriteNote(claimName, c); err != nil {
		t.Fatal(err)
	}
	p.do("cp", "-a", "a", "b")
	p.isCopy("b", "a")
	p.do("rm", "-r", "b")
	p.do("mv", "a", "b")
	if b := p.open("b"); b.ID != a.ID {
		t.Errorf("%s, want %s", b.ID, a.ID)
	}
}

// An id is taken from nothing that a person could have put there.
func TestIDsOfStrangers(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	for name, plant := range map[string]func(dir string) error{
		"control": func(string) error { return nil },
		"linked":  func(dir string) error { return os.Symlink(p.dir("a")+"/.blast", dir+"/.blast") },
		"linked environment": func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/.blast", 0o700), os.Symlink(p.dir("a")+"/.blast/default", dir+"/.blast/default"))
		},
		"a file of theirs":                         func(dir string) error { return carried(dir, a, 1000, 1000) },
		"a folder of theirs, and a file of root's": func(dir string) error { return carried(dir, a, 1000, 0) },
		"a file that others write": func(dir string) error {
			return errors.Join(carried(dir, a, 0, 0), os.Chmod(dir+"/.blast/default/state.json", 0o666))
		},
		"a pipe": func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/.blast/default", 0o700), unix.Mkfifo(dir+"/.blast/default/state.json", 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := p.dir(name)
			if err := errors.Join(os.Mkdir(dir, 0o755), plant(dir)); err != nil {
				t.Fatal(err)
			}
			e, err := Open(dir, "default", 1000, 1000)
			if e.ID == a.ID || (err == nil) != (name == "control") {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}

// carried puts the state of an environment into a folder of somebody's.
func carried(dir string, of Env, folder, file int) error {
	b, err := os.ReadFile(filepath.Join(of.Dir, stateName))
	name := dir + "/.blast/default/" + stateName
	return errors.Join(err, os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, b, 0o600), os.Chown(name, file, file), os.Chown(filepath.Dir(name), folder, folder))
}

func TestIDsThatLeadElsewhere(t *testing.T) {
	p := newProjects(t)
	a := p.apply("a")
	path := filepath.Join(a.Dir, stateName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"../../etc", "ABCDEF012345", "abc", "0123456789abc", "0123456789a/"} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(good), a.ID, bad, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var corrupt *CorruptError
		if e, err := Open(a.Project, "default", 1000, 1000); !errors.As(err, &corrupt) || e.Run != a.Run {
			t.Errorf("%s: %s, %v", bad, e.Run, err)
		}
		if _, err := a.Load(); !errors.As(err, &corrupt) {
			t.Errorf("%s: loaded: %v", bad, err)
		}
	}
}

// A folder that only lost its claim is nobody's; one with something in it may be.
func TestSweep(t *testing.T) {
	p := newProjects(t)
	e := p.apply("p")
	for _, name := range []string{"0123456789ab", "abcdef012345/left", "other"} {
		if err := os.MkdirAll(filepath.Join(runRoot, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	Sweep()
	for name, stays := range map[string]bool{"0123456789ab": false, "abcdef012345": true, "other": true, e.ID: true} {
		if _, err := os.Lstat(filepath.Join(runRoot, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who comes too late to end an orphan leaves no traces of it.
func TestLockOfAnEndedOrphan(t *testing.T) {
	p := newProjects(t)
	e := p.apply("p")
	p.do("rm", "-rf", p.dir("p"))
	o := e.Orphan()
	unlock, err := o.Lock("test", 0)
	if err != nil {
		t.Fatal("an orphan that is there:", err)
	}
	unlock()
	if err := os.RemoveAll(o.Run); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Lock("test", 0); err == nil || !strings.Contains(err.Error(), "nothing of "+o.ID) {
		t.Errorf("locked what has ended: %v", err)
	}
	if _, err := os.Lstat(o.Run); err == nil {
		t.Error("its run folder is back")
	}
}
