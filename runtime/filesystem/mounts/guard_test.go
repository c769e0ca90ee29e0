//go:build linux

package mounts_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/sandbox"
)

// guarded is a world whose usual tree is up and guarded.
func guarded(t testing.TB, files map[string]string, more ...filesystem.Mount) (*world, filesystem.Tree) {
	t.Helper()
	w := newWorld(t, files)
	w.start(t, box1)
	tree := w.usual(box1, more...)
	w.create(t, tree)
	w.sync(t)
	return w, tree
}

// host runs a shell command as the person, in the project.
func (w *world) shell(t testing.TB, script string) {
	t.Helper()
	cmd := exec.Command("setpriv", fmt.Sprint("--reuid=", person), fmt.Sprint("--regid=", person), "--clear-groups", "sh", "-ec", script)
	cmd.Dir = w.env.Project
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// What a person does on the host takes mounts away; they come back.
func TestGuard(t *testing.T) {
	for name, script := range map[string]string{
		"saved by rename":        "echo secret 2 >n && mv n .env",
		"removed":                "rm .env",
		"removed and made":       "rm .env; echo secret 2 >.env",
		"moved away":             "mv .env .env.old; echo secret 2 >.env",
		"moved away for good":    "mv .env .env.old",
		"rules replaced":         "cp blast.hcl n && mv n blast.hcl",
		"repository moved":       "mv .git git; mkdir -p .git/hooks; echo >.git/config",
		"repository removed":     "mv .git /tmp/$$.git; rm -rf /tmp/$$.git",
		"hooks made a file":      "rmdir .git/hooks; echo >n; mv -nT n .git/hooks || true",
		"many at once":           "for i in 1 2 3 4 5 6 7 8 9; do echo $i >n; mv n .env; cp blast.hcl n; mv n blast.hcl; done",
		"rules turned to folder": "mkdir n; rm blast.hcl; mv -nT n blast.hcl || true",
	} {
		t.Run(name, func(t *testing.T) {
			w, tree := guarded(t, files)
			w.shell(t, script)
			begun := time.Now()
			eventually(t, "not put back: "+w.log.String(), func() bool { return len(w.observed(t).Drift) == 0 })
			if took := time.Since(begun); took > 3*time.Second { // it looks every 5 s in any case
				t.Errorf("nothing told it: put back after %v", took)
			}
			w.sees(t, tree)
			for _, attack := range []string{"cat /workspace/.env", "echo x >/workspace/.env", "mv /workspace/.env /workspace/x", "echo x >>/workspace/blast.hcl", "mkdir /workspace/blast.hcl/x", "echo x >/workspace/.git/hooks/x", "echo x >>/workspace/.git/hooks", "mv /workspace/.git /workspace/g"} {
				if code, out := w.run(t, box1, attack); code == 0 {
					t.Errorf("%s: %s", attack, out)
				}
			}
			w.must(t, box1, "echo x >/workspace/x") // the sandbox lives
		})
	}
}

// What an apply has renamed on the host, as the lock file, is protected when it is over.
func TestSyncWaitsForTheGuard(t *testing.T) {
	w, _ := guarded(t, files)
	for range 100 {
		w.put(t, "n", "secret 2")
		if err := os.Rename(w.path("n"), w.path(".env")); err != nil {
			t.Fatal(err)
		}
		w.sync(t)
		if drift := w.observed(t).Drift; len(drift) > 0 {
			t.Fatalf("after Sync: %q", drift)
		}
	}
}

// A file that was just saved is no drift: the guard is about to cover it.
func TestSavedFileIsNoDrift(t *testing.T) {
	w, _ := guarded(t, files)
	for range 100 {
		w.put(t, "n", "rules 2")
		if err := os.Rename(w.path("n"), w.path("blast.hcl")); err != nil {
			t.Fatal(err)
		}
		if drift := w.observed(t).Drift; len(drift) > 0 {
			t.Fatalf("just saved: %q", drift)
		}
	}
}

// An apply is not taken back by the guard, nor is a sandbox that is to be replaced changed.
func TestGuardFollows(t *testing.T) {
	w, a := guarded(t, files)
	b := w.usual(box1, filesystem.Mount{Name: "workspace.hide", Target: "/workspace/notes", Type: filesystem.Hide, Dir: true})
	b.Mounts = slices.DeleteFunc(b.Mounts, func(m filesystem.Mount) bool { return m.Target == "/workspace/.env" })
	w.commit(t, w.apply(t, &a, &b))
	w.sync(t)
	w.sees(t, b)
	w.must(t, box1, "cat /workspace/.env")
	w.shell(t, "mv notes old; mkdir -p notes; cp old/n notes")
	eventually(t, "not put back", func() bool { code, _ := w.run(t, box1, "cat /workspace/notes/n"); return code != 0 })
	w.start(t, box2)
	c := w.usual(box2)
	w.apply(t, &b, &c)
	w.sync(t)
	w.shell(t, "cp .env n && mv n .env")
	eventually(t, "not put back in the new one", func() bool { code, _ := w.run(t, box2, "cat /workspace/.env"); return code != 0 })
	// Until the change is final, commands run in the old one, too: it is guarded as it was.
	w.shell(t, "mv notes $$.notes; mkdir -p notes; cp old/n notes")
	eventually(t, "not put back in the old one", func() bool { code, _ := w.run(t, box1, "cat /workspace/notes/n"); return code != 0 })
	w.must(t, box1, "cat /workspace/.env")
	w.must(t, box2, "cat /workspace/notes/n")
	// It is the new one that ends, and the old one is wanted again.
	w.apply(t, &c, &b)
	w.end(t, box2)
	w.sync(t)
	w.shell(t, "mv notes $$.notes; mkdir -p notes; cp old/n notes")
	eventually(t, "not put back after all", func() bool { code, _ := w.run(t, box1, "cat /workspace/notes/n"); return code != 0 })
	w.start(t, box2)
	w.apply(t, &b, &c)
	w.sync(t)
	w.commit(t, w.apply(t, &c, nil))
	w.sync(t)
	w.end(t, box1)
	w.end(t, box2)
	w.sync(t)
	w.nothingLeft(t)
}

// What can't be protected any more ends the sandbox.
func TestGuardFailsClosed(t *testing.T) {
	for name, c := range map[string]struct {
		make, path string
	}{
		"a link in the path": {"ln -s n2 n", ".git"},
		"a link in place":    {"ln -s app.py n", ".env"},
		"a link outwards":    {"ln -s /etc n", ".git"},
		"a file in the path": {"echo gitdir: x >n", ".git"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := guarded(t, files)
			w.shell(t, c.make)
			if err := unix.Renameat2(unix.AT_FDCWD, w.path("n"), unix.AT_FDCWD, w.path(c.path), unix.RENAME_EXCHANGE); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the sandbox runs on: "+w.log.String(), func() bool {
				_, err := sandbox.Load(t.Context(), w.env, box1)
				return err != nil
			})
			eventually(t, "nobody said why", func() bool { return strings.Contains(w.log.String(), "the sandbox was ended") })
			tree := w.usual(box1)
			w.end(t, box1)
			w.start(t, box1)
			err := w.host.Apply(t.Context(), w.env, change(w.observed(t), &tree))
			var in *mounts.ObstacleError
			if !errors.As(err, &in) || in.Fix == "" {
				t.Errorf("it was mounted again: %v", err)
			}
			ps, err := w.host.Check(t.Context(), w.env, []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)})
			if err != nil || len(ps) == 0 || !strings.Contains(ps[0].Reason, c.path) {
				t.Errorf("a plan would say %v (%v)", ps, err)
			}
		})
	}
}

// A daemon that comes later guards what is there, mending what it missed.
func TestGuardAfterRestart(t *testing.T) {
	w, tree := guarded(t, files)
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.shell(t, "cp .env n && mv n .env")
	if code, _ := w.run(t, box1, "cat /workspace/.env"); code != 0 {
		t.Fatal("it is covered without a guard: the test shows nothing")
	}
	w.sync(t)
	w.sees(t, tree)
	w.end(t, box1)
	eventually(t, "the guard doesn't notice the end", func() bool { w.sync(t); return true })
}

// Where the host has no more watches to give, the guard looks by itself.
func TestGuardDeaf(t *testing.T) {
	const limit = "/proc/sys/user/max_inotify_instances"
	was, err := os.ReadFile(limit)
	if err != nil {
		t.Skip(err)
	}
	if os.Getenv("CI") == "" {
		t.Skip("set CI: it takes all of root's watches for a moment, from others on the machine, too")
	}
	var taken []int
	defer func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
	}()
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil || len(taken) > 5000 {
			t.Skipf("%d taken of %s: %v", len(taken), was, err)
		}
		taken = append(taken, fd)
	}
	w, tree := guarded(t, files)
	w.shell(t, "mv .env e; echo secret 2 >.env")
	begun := time.Now()
	eventually(t, "not put back", func() bool { return len(w.observed(t).Drift) == 0 })
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("put back after %v", took)
	}
	w.sees(t, tree)
}

// TestWindow measures for how long a new file is not protected, as it is saved.
func TestWindow(t *testing.T) {
	w, _ := guarded(t, files)
	s, err := sandbox.Load(t.Context(), w.env, box1)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	var all []time.Duration
	for i := range 50 {
		time.Sleep(10 * time.Millisecond) // as a person, not as a program
		if err := os.WriteFile(w.path("n"), fmt.Append(nil, "secret ", i), 0o644); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := os.Rename(w.path("n"), w.path(".env")); err != nil {
			t.Fatal(err)
		}
		for covered := false; !covered; {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(table.Fd()), Events: unix.POLLPRI}}, 1); err != nil && !errors.Is(err, unix.EINTR) {
				t.Fatal(err)
			}
			took := time.Since(begun)
			b, err := io.ReadAll(io.NewSectionReader(table, 0, 1<<20))
			if err != nil || time.Since(begun) > 5*time.Second {
				t.Fatal("not put back: ", err, w.log.String())
			}
			covered = strings.Contains(string(b), "/workspace/.env ")
			if covered {
				all = append(all, took)
			}
		}
	}
	slices.Sort(all)
	t.Logf("window: median %v, p90 %v, longest %v", all[25], all[45], all[49])
	if all[45] > time.Second {
		t.Error("too long")
	}
}
