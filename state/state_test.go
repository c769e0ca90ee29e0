package state_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

func newEnv(t *testing.T) state.Env {
	t.Helper()
	env := state.NewEnv(t.TempDir(), "default", 0, 0)
	env.Run = filepath.Join(env.Project, "run")
	return env
}

func commit(t *testing.T, env state.Env, p plan.Plan) {
	t.Helper()
	tx, err := env.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Commit(), tx.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestEnvIsNamedByFolderAndName(t *testing.T) {
	a, b := state.NewEnv("/p", "x", 1, 1), state.NewEnv("/p", "x", 2, 2)
	if a.ID != b.ID || len(a.ID) != 12 {
		t.Errorf("%q, %q", a.ID, b.ID)
	}
	for _, o := range []state.Env{state.NewEnv("/p", "y", 1, 1), state.NewEnv("/q", "x", 1, 1), state.NewEnv("/px", "", 1, 1)} {
		if o.ID == a.ID {
			t.Errorf("%+v has the id of %+v", o, a)
		}
	}
}

// A state that is there but not whole is an error, never "no state".
func TestDamagedStateIsAnError(t *testing.T) {
	good := func(env state.Env) string {
		commit(t, env, plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}})
		b, err := os.ReadFile(filepath.Join(env.Dir, "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, damage := range map[string]func(string) string{
		"empty":         func(string) string { return "" },
		"short":         func(s string) string { return s[:len(s)/2] },
		"zeros":         func(s string) string { return strings.Repeat("\x00", len(s)) },
		"newer":         func(s string) string { return strings.Replace(s, `"version": 2`, `"version": 3`, 1) },
		"unknown field": func(s string) string { return strings.Replace(s, `"lineage"`, `"linage"`, 1) },
		"no serial":     func(s string) string { return strings.Replace(s, `"serial": 1`, `"serial": 0`, 1) },
		"a list":        func(string) string { return "[]" },
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			path := filepath.Join(env.Dir, "state.json")
			text := good(env)
			if _, err := env.Load(); err != nil {
				t.Fatal("positive control:", err)
			}
			if err := os.WriteFile(path, []byte(damage(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			var corrupt *state.CorruptError
			if st, err := env.Load(); !errors.As(err, &corrupt) {
				t.Errorf("read as %+v, %v", st, err)
			}
			fix := "put the last generation in its place: cp " + filepath.Join(env.Dir, "history", "1.json") + " " + path
			if name == "newer" {
				fix = "use that one"
			}
			if !strings.HasSuffix(corrupt.Error(), fix) {
				t.Errorf("%v; want %q", corrupt, fix)
			}
			if err := os.RemoveAll(filepath.Join(env.Dir, "history")); err != nil {
				t.Fatal(err)
			}
			if _, err := env.Load(); name != "newer" && !strings.Contains(err.Error(), "remove it to start anew") {
				t.Errorf("without a history: %v", err)
			}
		})
	}
}

// A folder's name is not carried out by who types what the message says.
func TestFixOfAFolderWithAStrangeName(t *testing.T) {
	env := newEnv(t)
	env.Dir = filepath.Join(env.Project, "$(touch x) it's", "default")
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	commit(t, env, plan.Plan{Env: "default", Lineage: "l", Desired: []plan.Object{plan.NewObject("resource.limits", map[string]int{"pids": 1}, nil)}})
	path := filepath.Join(env.Dir, "state.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := env.Load()
	if err == nil {
		t.Fatal("control: an empty state was read")
	}
	_, fix, _ := strings.Cut(err.Error(), "in its place: ")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", fix)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", fix, err, out)
	}
	if _, err := os.Lstat(filepath.Join(cmd.Dir, "x")); err == nil {
		t.Errorf("%s: the folder's name was carried out", fix)
	}
	if st, err := env.Load(); err != nil || st.Serial != 1 {
		t.Errorf("after %s: serial %d, %v", fix, st.Serial, err)
	}
}

func TestStateIsPrivate(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default"})
	for path, want := range map[string]os.FileMode{filepath.Join(env.Dir, "state.json"): 0o600, env.Dir: 0o700, filepath.Dir(env.Dir): 0o700} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%s is %o, want %o", path, fi.Mode().Perm(), want)
		}
	}
}

// A torn last line of the journal announces an act that was never begun.
func TestTornJournal(t *testing.T) {
	p := plan.Plan{Version: 1, Env: "default", Steps: []plan.Step{{Change: plan.Change{Addr: "a.1"}}, {Change: plan.Change{Addr: "a.2"}}}}
	for name, tt := range map[string]struct {
		tail    string
		begun   int
		damaged bool
	}{
		"whole":         {"", 1, false},
		"torn":          {`{"doi`, 1, false},
		"next":          {"{\"doing\":1}\n", 2, false},
		"out of range":  {"{\"doing\":9}\n", 0, true},
		"rubbish whole": {"rubbish\n", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			tx, err := env.Begin(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Doing(0); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(env.Dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(tt.tail); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			got, err := env.Unfinished()
			var corrupt *state.CorruptError
			if errors.As(err, &corrupt) != tt.damaged {
				t.Fatalf("err = %v", err)
			}
			if !tt.damaged && got.Begun != tt.begun {
				t.Errorf("begun = %d, want %d", got.Begun, tt.begun)
			}
		})
	}
}

func TestLockExcludesAndIsNeverStale(t *testing.T) {
	env := newEnv(t)
	unlock, err := env.Lock("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Lock("test", 0); !errors.Is(err, state.ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	unlock()
	again, err := env.Lock("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again()
}

func TestNotes(t *testing.T) {
	env := newEnv(t)
	var v int
	if ok, err := env.ReadNote("n", &v); ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := env.WriteNote("n", 7); err != nil {
		t.Fatal(err)
	}
	if ok, err := env.ReadNote("n", &v); !ok || err != nil || v != 7 {
		t.Fatal(ok, err, v)
	}
	if err := errors.Join(env.DropNote("n"), env.DropNote("n")); err != nil {
		t.Fatal(err)
	}
}

// A link put in place of the state folder must not lead root elsewhere.
func TestStateFolderIsNoLink(t *testing.T) {
	env := newEnv(t)
	if err := os.Symlink(t.TempDir(), filepath.Dir(env.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Begin(plan.Plan{Version: 1}); err == nil {
		t.Fatal("wrote through a link")
	}
}

func TestForgetLeavesNothing(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default"})
	if err := env.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(env.Dir)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("state folder is left:", err)
	}
}

// A process that dies while it replaces a file leaves the temporary one behind.
func TestRecoverySweepsTemporaryFiles(t *testing.T) {
	env := newEnv(t)
	if _, err := env.Begin(plan.Plan{Version: 1}); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(env.Dir, ".state.json.1.tmp"), filepath.Join(env.Dir, ".state.json.2.tmp")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Unfinished(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dead process's temporary file is left:", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("this process's own is gone:", err)
	}
}

// What a record says is done with root's rights, so nobody else may write it.
func TestRecordsOfOthersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	for name, act := range map[string]func(dir string) error{
		"state of another":      func(dir string) error { return os.Chown(filepath.Join(dir, "state.json"), 1000, 1000) },
		"state that all write":  func(dir string) error { return os.Chmod(filepath.Join(dir, "state.json"), 0o666) },
		"state that is a link":  func(dir string) error { return swap(dir, func(p string) error { return os.Symlink("elsewhere", p) }) },
		"state that is a pipe":  func(dir string) error { return swap(dir, func(p string) error { return syscall.Mkfifo(p, 0o600) }) },
		"folder of another":     func(dir string) error { return os.Chown(dir, 1000, 1000) },
		"folder that all write": func(dir string) error { return os.Chmod(dir, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			commit(t, env, plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}})
			read := func() error {
				_, err := env.Load()
				unlock, lerr := env.Lock("test", 0)
				if lerr == nil {
					unlock()
				}
				return errors.Join(err, lerr)
			}
			if err := read(); err != nil {
				t.Fatal("positive control:", err)
			}
			if err := act(env.Dir); err != nil {
				t.Fatal(err)
			}
			if err := read(); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// swap puts something else in the place of state.json.
func swap(dir string, make func(path string) error) error {
	path := filepath.Join(dir, "state.json")
	if err := os.Rename(path, filepath.Join(dir, "elsewhere")); err != nil {
		return err
	}
	return make(path)
}

// What fills the disk must not keep an environment from being destroyed.
func TestFullDiskStopsNoDestroy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small disk")
	}
	env := newEnv(t)
	if err := unix.Mount("tmpfs", env.Project, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(env.Project, unix.MNT_DETACH) })
	full := plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", strings.Repeat("x", 100_000), nil)}}
	commit(t, env, full)
	fill(t, filepath.Join(env.Project, "filler"))
	if err := os.WriteFile(filepath.Join(env.Dir, "control"), make([]byte, 1<<16), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	st, err := env.Load()
	if err != nil {
		t.Fatal(err)
	}
	tx, err := env.Begin(plan.Plan{Version: 1, Env: "default", Lineage: st.Lineage, Serial: st.Serial, Steps: []plan.Step{{Change: plan.Change{Addr: "a.b", From: full.Desired[0].Attrs}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Doing(0), tx.Commit(), tx.Close()); err != nil {
		t.Fatal(err)
	}
	if err := env.Forget(); err != nil {
		t.Fatal(err)
	}
}

// An apply that would fit but for the reserve gets it, and a later one makes a new one.
func TestReserveIsKept(t *testing.T) {
	env := newEnv(t)
	p := plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}}
	for range 2 {
		commit(t, env, p)
		st, err := env.Load()
		if err != nil {
			t.Fatal(err)
		}
		p.Lineage, p.Serial = st.Lineage, st.Serial
		fi, err := os.Stat(filepath.Join(env.Dir, "reserve"))
		if err != nil || fi.Size() != 1<<20 || fi.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", fi, err)
		}
		if err := os.Remove(filepath.Join(env.Dir, "reserve")); err != nil {
			t.Fatal(err)
		}
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// A line that a crash tore must not spoil those that the recovery writes after it.
func TestTornLineIsCutOff(t *testing.T) {
	env := newEnv(t)
	tx, err := env.Begin(plan.Plan{Version: 1, Env: "default", Steps: []plan.Step{{Change: plan.Change{Addr: "a.b"}}}, Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Doing(0); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(env.Dir, "journal.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{\"doi"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if tx, err = env.Unfinished(); err != nil || tx.Begun != 1 {
		t.Fatalf("%+v, %v", tx, err)
	}
	if err := tx.Rolled(); err != nil {
		t.Fatal(err)
	}
	if tx, err = env.Unfinished(); err != nil || !tx.Undone { // it died again
		t.Fatalf("%+v, %v", tx, err)
	}
}

// A process that is being started has a copy of every descriptor for a moment. It
// must not hold the lock that was given back meanwhile.
func TestLockIsGivenBackInSpiteOfCopies(t *testing.T) {
	env := newEnv(t)
	unlock, err := env.Lock("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	var copies []int
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil && to == filepath.Join(env.Dir, "lock") {
			n, _ := strconv.Atoi(d.Name())
			fd, err := unix.Dup(n)
			if err != nil {
				t.Fatal(err)
			}
			copies = append(copies, fd)
			break // its own number may be one of those that follow
		}
	}
	if len(copies) != 1 {
		t.Fatalf("%d descriptors of the lock", len(copies))
	}
	defer func() { _ = unix.Close(copies[0]) }()
	if _, err := env.Lock("test", 0); !errors.Is(err, state.ErrLocked) {
		t.Fatalf("control: %v", err)
	}
	unlock()
	again, err := env.Lock("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// A serial that has no next one, or that others read as another number, is none: and a
// commit that would come to it leaves the state as it is.
func TestSerialsHaveAnEnd(t *testing.T) {
	env := newEnv(t)
	commit(t, env, plan.Plan{Version: 1, Env: "default", Desired: []plan.Object{plan.NewObject("a.b", 1, nil)}})
	path := filepath.Join(env.Dir, "state.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for serial, good := range map[string]bool{"9007199254740991": true, "9007199254740992": false, "18446744073709551615": false, "18446744073709551616": false, "-1": false, "1e3": false} {
		text := strings.Replace(string(b), `"serial": 1`, `"serial": `+serial, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := env.Load()
		if (err == nil) != good {
			t.Errorf("serial %s: %v", serial, err)
		}
		if !good {
			continue
		}
		tx, err := env.Begin(plan.Plan{Version: 1, Env: "default", Lineage: st.Lineage, Serial: st.Serial, Desired: []plan.Object{plan.NewObject("a.b", 2, nil)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err == nil {
			t.Error("committed beyond the end")
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("the state is %s, %v", now, err)
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
