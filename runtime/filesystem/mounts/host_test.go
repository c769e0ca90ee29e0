//go:build linux

package mounts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/testfixtures/conformance"
)

// files is a project with something of everything.
var files = map[string]string{
	"app.py": "print()\n", ".env": "secret\n", "secrets/key": "secret\n", "notes/n": "note\n",
	"blast.hcl": "# rules\n", ".git/config": "[core]\n", ".git/hooks/": "", "Makefile": "all:\n", "deep/er/file": "deep\n",
}

func TestConformance(t *testing.T) {
	w := newWorld(t, files)
	models := t.TempDir()
	if err := os.WriteFile(filepath.Join(models, "m"), []byte("model\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.start(t, box1)
	a := w.usual(box1,
		filesystem.Mount{Name: "mount./opt/models", Target: "/opt/models", Type: filesystem.Bind, Source: models, Access: "ro", Exec: true},
		filesystem.Mount{Name: "mount./opt/one", Target: "/opt/one", Type: filesystem.Bind, Source: filepath.Join(models, "m"), Access: "ro"},
		filesystem.Mount{Name: "tmpfs./workspace/cache", Target: "/workspace/deep/cache", Type: filesystem.Tmpfs, Size: 8 * mib},
		filesystem.Mount{Name: "workspace.hide", Target: "/workspace/secrets", Type: filesystem.Hide, Dir: true},
		filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/deep/er/file", Type: filesystem.ReadOnly},
	)
	b := w.usual(box1,
		filesystem.Mount{Name: "mount./srv/m", Target: "/srv/m", Type: filesystem.Bind, Source: models, Access: "rw"},
		filesystem.Mount{Name: "mount./workspace/models", Target: "/workspace/models", Type: filesystem.Bind, Source: models, Access: "ro"},
		filesystem.Mount{Name: "workspace.hide", Target: "/workspace/notes", Type: filesystem.Hide, Dir: true},
		filesystem.Mount{Name: "workspace.hide", Target: "/workspace/deep/er/file", Type: filesystem.Hide},
		filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/secrets", Type: filesystem.ReadOnly, Dir: true},
		filesystem.Mount{Name: "workspace.hide", Target: "/workspace/not/there/", Type: filesystem.Hide, Dir: true},
	)
	b.Mounts[2].Size = 16 * mib
	b.Mounts[len(b.Mounts)-1].Target = "/workspace/not/there"
	b.MaxFileSize = mib
	obj := func(tree filesystem.Tree) []plan.Object {
		return []plan.Object{plan.NewObject(filesystem.TreeAddr, tree, nil)}
	}
	tamper := func(args ...string) func(*testing.T) {
		return func(t *testing.T) { w.inside(t, box1, args...) }
	}
	conformance.Run(t, conformance.Case{
		Host: w.host, Env: w.env, A: obj(a), B: obj(b),
		Kernel: func(t *testing.T) string { return w.kernel(t, box1) },
		Tamper: map[string]func(*testing.T){
			"mask unmounted":      func(t *testing.T) { w.detach(t, box1, "/workspace/.env") },
			"workspace unmounted": func(t *testing.T) { w.detach(t, box1, "/workspace") },
			"remounted rw":        tamper("mount", "-o", "remount,bind,rw", "/workspace/blast.hcl"),
			"remounted exec":      tamper("mount", "-o", "remount,bind,exec", "/var/tmp"),
			"remounted suid":      tamper("mount", "-o", "remount,bind,suid", "/workspace"),
			"mounted on top":      tamper("mount", "-t", "tmpfs", "x", "/workspace"),
			"mounted on a mask":   tamper("mount", "--bind", "/workspace/app.py", "/workspace/.env"),
			"mounted elsewhere":   tamper("mount", "-t", "tmpfs", "x", "/workspace/notes"),
			"mounted in between":  tamper("mount", "--bind", "/workspace/deep/er", "/workspace/deep/er"),
			"tmpfs grown":         tamper("mount", "-o", "remount,size=1g", "/tmp"),
			"another layer": func(t *testing.T) {
				w.inside(t, box1, "umount", "/var/tmp")
				w.inside(t, box1, "mount", "-t", "tmpfs", "x", "/var/tmp")
			},
			"saved by rename": func(t *testing.T) {
				w.put(t, ".env.new", "secret 2\n")
				if err := os.Rename(w.path(".env.new"), w.path(".env")); err != nil {
					t.Fatal(err)
				}
			},
			"parent moved": func(t *testing.T) {
				if err := os.Rename(w.path(".git"), w.path("git")); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(w.path("git")) })
				w.put(t, ".git/config", "[new]\n")
				w.put(t, ".git/hooks/", "")
			},
		},
	})
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
	if _, err := os.Lstat(w.path("not")); err == nil {
		t.Error("a placeholder is left")
	}
}

// What a command may and may not do in the usual tree.
func TestUsual(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	tree := w.usual(box1, filesystem.Mount{Name: "workspace.hide", Target: "/workspace/secrets", Type: filesystem.Hide, Dir: true})
	w.create(t, tree)
	for script, want := range map[string]string{
		"cat /workspace/.env":                                "Permission denied",
		"cat /workspace/secrets/key":                         "Permission denied",
		"ls /workspace/secrets":                              "Permission denied",
		"ls /workspace/.blast":                               "Permission denied",
		"echo x >/workspace/blast.hcl":                       "Read-only file system",
		"echo x >/workspace/.git/hooks/pre-commit":           "Read-only file system",
		"dd if=/dev/zero of=/tmp/x bs=1M count=64":           "No space left",
		"dd if=/dev/zero of=/home/sandbox/x bs=1M count=128": "No space left",
		"cp /bin/true /var/tmp/t && /var/tmp/t":              "Permission denied",
		"ls /.mounts":                                        "No such file",
	} {
		if code, out := w.run(t, box1, script); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d: %s", script, code, out)
		}
	}
	w.must(t, box1, "rm -f ~/x /tmp/x; echo x >/workspace/new")
	for script, want := range map[string]string{
		"cat /workspace/app.py":                                            "print()\n",
		"cat /workspace/blast.hcl":                                         "# rules\n",
		"cat /workspace/.git/config":                                       "[core]\n",
		"stat -c %a /workspace/.env":                                       "0\n",
		"cat /workspace/new":                                               "x\n",
		"cp /bin/true /workspace/t && /workspace/t && echo ran":            "ran\n",
		"cp /bin/true ~/t && ~/t && echo ran":                              "ran\n",
		"stat -c '%u %g' /workspace /home/sandbox /var/tmp /workspace/new": strings.Repeat("65534 65534\n", 4),
		"stat -c %a /tmp":                                                  "1777\n",
	} {
		if out := w.must(t, box1, script); out != want {
			t.Errorf("%s: %q, want %q", script, out, want)
		}
	}
	st, err := os.Stat(w.path("new"))
	if err != nil || owner(st) != [2]uint32{person, person} {
		t.Errorf("a new file belongs to %v (%v)", owner(st), err)
	}
}

// Whatever another sandbox has, stays, until it is final; and the layer is the same in both.
func TestReplaceSandbox(t *testing.T) {
	w := newWorld(t, files)
	w.start(t, box1)
	a, b := w.usual(box1), w.usual(box2)
	w.create(t, a)
	w.must(t, box1, "echo kept >~/h")
	was := w.kernel(t, box1)
	w.start(t, box2)
	c := w.apply(t, &a, &b)
	w.sees(t, b)
	if got := w.kernel(t, box1); got != was {
		t.Errorf("the old sandbox has\n%s\nwant\n%s", got, was)
	}
	if out := w.must(t, box2, "cat ~/h"); out != "kept\n" {
		t.Error(out)
	}
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.sees(t, a)
	w.end(t, box2)
	w.commit(t, c.Reverse())
	if got := w.kernel(t, box1); got != was {
		t.Errorf("taken back, there is\n%s\nwant\n%s", got, was)
	}
	// The sandbox is killed, as by a reboot: the layer is still there, and an apply that fails
	// doesn't take it away.
	w.end(t, box1)
	rest := w.observed(t)
	if rest == nil || len(rest.Drift) != 1 || rest.LayerSize != a.LayerSize {
		t.Fatalf("%+v", rest)
	}
	w.start(t, box2)
	c = w.apply(t, rest, &b)
	if err := w.host.Apply(t.Context(), w.env, c.Reverse()); err != nil {
		t.Fatal(err)
	}
	w.commit(t, c.Reverse())
	w.commit(t, w.apply(t, rest, &b))
	if out := w.must(t, box2, "cat ~/h"); out != "kept\n" {
		t.Error(out)
	}
	w.commit(t, w.apply(t, &b, nil))
	w.end(t, box2)
	w.sync(t)
	w.nothingLeft(t)
}
