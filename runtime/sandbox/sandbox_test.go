//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == attemptName {
		os.Exit(attempt(os.Args[1:])) // in a sandbox, or as a control outside
	}
	os.Exit(sandboxtest.Main(m))
}

// output runs a command in the sandbox and returns its exit code and all that it
// printed.
func output(t testing.TB, s *sandbox.Sandbox, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	text := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(r); text <- b }()
	code, err := command.Run(context.Background(), sandbox.SocketPath(s.Env, s.ID), command.Request{
		Args: args, Dir: "/", Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + sandbox.Home}, Stdout: w, Stderr: w,
	})
	_ = w.Close()
	out := <-text
	_ = r.Close()
	if err != nil {
		return code, fmt.Sprintf("%s%v", out, err)
	}
	return code, string(out)
}

// What a sandbox consists of is read from the kernel, from outside.
func TestCreate(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	for _, ns := range []string{"user", "pid", "mnt", "ipc", "uts", "cgroup", "net"} {
		ours, err1 := os.Readlink("/proc/self/ns/" + ns)
		theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.PID(), ns))
		if err1 != nil || err2 != nil || ours == theirs {
			t.Errorf("%s namespace: ours %s, the sandbox's %s (%v, %v)", ns, ours, theirs, err1, err2)
		}
	}
	var pin, net unix.Stat_t
	if unix.Stat(filepath.Join(env.Run, "net"), &pin) != nil || unix.Stat(fmt.Sprintf("/proc/%d/ns/net", s.PID()), &net) != nil || pin.Ino != net.Ino {
		t.Errorf("network namespace is %d, pinned is %d", net.Ino, pin.Ino)
	}
	code, out := output(t, s, "cat", "/proc/self/status")
	if code != 0 {
		t.Fatal(code, out)
	}
	for _, want := range []string{
		"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Seccomp_filters:\t2\n", "NStgid:\t",
		"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "CapAmb:\t0000000000000000\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("status of a command has no %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.PID())); err != nil || len(b) == 0 {
		t.Errorf("oom_score_adj: %q %v", b, err)
	}
}

func TestEtc(t *testing.T) {
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"id", "-un"}, "nobody\n"},
		{[]string{"hostname"}, "default\n"},
		{[]string{"getent", "hosts", "default"}, "default"},
		{[]string{"getent", "hosts", "localhost"}, "localhost"},
		{[]string{"getent", "passwd", "nobody"}, "nobody:x:65534:65534::/home/sandbox:/bin/sh\n"},
		{[]string{"cat", "/etc/resolv.conf"}, "nameserver " + sandbox.NameServer + "\n"},
		{[]string{"ls", "/workspace", "/run"}, "/run:\n\n/workspace:\n"},
		{[]string{"python3", "-c", "import ssl, ctypes; print(len(ssl.create_default_context().get_ca_certs()) > 0)"}, "True\n"},
	} {
		if code, out := output(t, s, c.args...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%q: %d %q, want %q", c.args, code, out, c.want)
		}
	}
}

// Folders that the host makes in the skeleton can be mounted on inside.
func TestSkeletonGrows(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	if err := os.MkdirAll(filepath.Join(sandbox.SkeletonDir(env, s.ID), "srv/models"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out := output(t, s, "test", "-d", "/srv/models"); code != 0 {
		t.Error(code, out)
	}
	if code, _ := output(t, s, "mkdir", "/srv/mine"); code == 0 {
		t.Error("a command made a folder in the skeleton")
	}
}

func TestPackagesAreSeenReadOnly(t *testing.T) {
	env := sandboxtest.Env(t)
	spec := sandboxtest.Spec(t, env)
	spec.Packages = filepath.Join(env.Dir, "packages")
	if err := os.MkdirAll(spec.Packages, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(spec.Packages, 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	// Generations come later, and are switched by renaming a link.
	if err := os.WriteFile(filepath.Join(spec.Packages, "tool"), []byte("#!/bin/sh\necho generation 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out := output(t, s, "/venv/tool"); code != 0 || out != "generation 1\n" {
		t.Error(code, out)
	}
	if code, out := output(t, s, "sh", "-c", "echo x > /venv/tool2"); code == 0 || !strings.Contains(out, "Read-only") {
		t.Error(code, out)
	}
}

func TestLimitsAreThereBeforeTheSandbox(t *testing.T) {
	env := sandboxtest.Env(t)
	spec := sandboxtest.Spec(t, env)
	spec.Env.Cgroup += "-missing"
	_, err := sandbox.Create(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "limits") {
		t.Errorf("created without limits: %v", err)
	}
	nothing(t, spec)
}

// nothing checks that no trace of the sandbox is there.
func nothing(t testing.TB, spec sandbox.Spec) {
	t.Helper()
	ids, err := sandbox.List(spec.Env)
	if err != nil || len(ids) > 0 {
		t.Errorf("left: %q %v", ids, err)
	}
	es, err := os.ReadDir(spec.Env.Run)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if e.Name() != "net" && e.Name() != sandbox.IDsNote+".json" {
			t.Errorf("left in the run folder: %s", e.Name())
		}
	}
	found, err := filepath.Glob("/sys/fs/cgroup/*" + spec.Env.Cgroup + "/*")
	v2, err2 := filepath.Glob("/sys/fs/cgroup" + spec.Env.Cgroup + "/*")
	for _, f := range append(found, v2...) {
		if st, err := os.Stat(f); err == nil && st.IsDir() {
			t.Errorf("left: cgroup %s", f)
		}
	}
	if err := errors.Join(err, err2); err != nil {
		t.Error(err)
	}
	if zombies := children(t); len(zombies) > 0 {
		t.Errorf("left: children %q", zombies)
	}
}

// children lists this process's children, ended ones too.
func children(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		b, _ := os.ReadFile(f) // the thread may be gone
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	env := sandboxtest.Env(t)
	for name, change := range map[string]func(*sandbox.Spec){
		"no network namespace": func(s *sandbox.Spec) { s.NetNS += "-missing" },
		"no init":              func(s *sandbox.Spec) { s.Init += "-missing" },
		"init ends":            func(s *sandbox.Spec) { s.Init = "/bin/true" },
		"no packages":          func(s *sandbox.Spec) { s.Packages = "/missing" },
	} {
		t.Run(name, func(t *testing.T) {
			spec := sandboxtest.Spec(t, env)
			change(&spec)
			if _, err := sandbox.Create(t.Context(), spec); err == nil {
				t.Error("created")
			} else {
				t.Log(err)
			}
			nothing(t, spec)
		})
	}
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		spec := sandboxtest.Spec(t, env)
		if _, err := sandbox.Create(ctx, spec); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		nothing(t, spec)
	})
	// The control: with nothing changed it works.
	if _, err := sandbox.Create(t.Context(), sandboxtest.Spec(t, env)); err != nil {
		t.Error(err)
	}
}

func TestSpecRefused(t *testing.T) {
	env := sandboxtest.Env(t)
	for name, change := range map[string]func(*sandbox.Spec){
		"id":                 func(s *sandbox.Spec) { s.ID = "../../etc" },
		"root cgroup":        func(s *sandbox.Spec) { s.Env.Cgroup = "/" },
		"base":               func(s *sandbox.Spec) { s.Base = "debian:12" },
		"seccomp":            func(s *sandbox.Spec) { s.Seccomp = "unconfined" },
		"uid":                func(s *sandbox.Spec) { s.UID = 1 << 16 },
		"host's ids":         func(s *sandbox.Spec) { s.IDs.Base = 0 },
		"hostname":           func(s *sandbox.Spec) { s.Hostname = "a\n127.0.0.1 pypi.org" },
		"user":               func(s *sandbox.Spec) { s.User = "a:x:0:0::/:/bin/sh\nb" },
		"mighty capability":  func(s *sandbox.Spec) { s.Capabilities = []string{"CAP_SYS_ADMIN"} },
		"unknown capability": func(s *sandbox.Spec) { s.Capabilities = []string{"CAP_FLY"} },
		"relative init":      func(s *sandbox.Spec) { s.Init = "blast-init" },
	} {
		spec := sandboxtest.Spec(t, env)
		change(&spec)
		if _, err := sandbox.Create(t.Context(), spec); err == nil {
			t.Errorf("%s: created", name)
		}
	}
}

func TestDestroy(t *testing.T) {
	env := sandboxtest.Env(t)
	spec := sandboxtest.Spec(t, env)
	s := sandboxtest.Start(t, env)
	// A crowd that ignores what it can and has left its session.
	if code, out := output(t, s, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 60; done' >/dev/null 2>&1 & done"); code != 0 {
		t.Fatal(code, out)
	}
	freeze(t, env.Cgroup+"/"+s.ID)
	for range 2 { // twice is once
		if err := sandbox.Destroy(t.Context(), env, s.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", s.PID())); err == nil {
			t.Error("init is still there")
		}
		nothing(t, spec)
	}
	if _, err := sandbox.Load(t.Context(), env, s.ID); !errors.Is(err, sandbox.ErrNotRunning) {
		t.Errorf("Load after Destroy: %v", err)
	}
}

// freeze stops all processes of a cgroup, in either version.
func freeze(t testing.TB, cgroup string) {
	t.Helper()
	v1 := os.WriteFile("/sys/fs/cgroup/freezer"+cgroup+"/freezer.state", []byte("FROZEN"), 0)
	v2 := os.WriteFile("/sys/fs/cgroup"+cgroup+"/cgroup.freeze", []byte("1"), 0)
	if v1 != nil && v2 != nil {
		t.Fatal(v1, v2)
	}
}

// Whatever a Create that died has left is found and removed.
func TestDestroyOfParts(t *testing.T) {
	env := sandboxtest.Env(t)
	spec := sandboxtest.Spec(t, env)
	for name, make := range map[string]func() error{
		"skeleton": func() error { return os.MkdirAll(sandbox.SkeletonDir(env, spec.ID)+"/usr", 0o755) },
		"socket":   func() error { return os.WriteFile(sandbox.SocketPath(env, spec.ID), nil, 0o600) },
		"state":    func() error { return os.MkdirAll(filepath.Join(env.Run, "sandbox", spec.ID), 0o700) },
		"broken state": func() error {
			dir := filepath.Join(env.Run, "sandbox", spec.ID)
			return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(dir+"/state.json", []byte(`{"id":`), 0o600))
		},
		"cgroup": func() error {
			err := os.Mkdir("/sys/fs/cgroup/memory"+env.Cgroup+"/"+spec.ID, 0o755)
			if err != nil {
				err = os.Mkdir("/sys/fs/cgroup"+env.Cgroup+"/"+spec.ID, 0o755)
			}
			return err
		},
	} {
		if err := make(); err != nil {
			t.Fatal(name, err)
		}
		if ids, err := sandbox.List(env); err != nil || len(ids) != 1 || ids[0] != spec.ID {
			t.Errorf("%s: List = %q %v", name, ids, err)
		}
		if _, err := sandbox.Load(t.Context(), env, spec.ID); !errors.Is(err, sandbox.ErrNotRunning) {
			t.Errorf("%s: Load: %v", name, err)
		}
		if err := sandbox.Destroy(t.Context(), env, spec.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		nothing(t, spec)
	}
}

// What a mount shows is never removed with the skeleton.
func TestDestroySparesMounts(t *testing.T) {
	env := sandboxtest.Env(t)
	spec := sandboxtest.Spec(t, env)
	data := t.TempDir()
	if err := os.WriteFile(data+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := sandbox.SkeletonDir(env, spec.ID) + "/workspace"
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(data, dir, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	err := sandbox.Destroy(t.Context(), env, spec.ID)
	if _, serr := os.Stat(data + "/precious"); err == nil || serr != nil {
		t.Errorf("Destroy: %v; the file: %v", err, serr)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if err := sandbox.Destroy(t.Context(), env, spec.ID); err != nil {
		t.Error(err)
	}
}

// Load sees what somebody did to the sandbox by hand.
func TestLoadSeesTampering(t *testing.T) {
	root := func(name string) []string {
		found, _ := filepath.Glob("/sys/fs/cgroup/" + name)
		return found
	}
	for name, tamper := range map[string]func(*testing.T, *sandbox.Sandbox) error{
		"init killed": func(t *testing.T, s *sandbox.Sandbox) error {
			return unix.Kill(s.PID(), unix.SIGKILL)
		},
		"socket gone": func(t *testing.T, s *sandbox.Sandbox) error {
			return os.Remove(sandbox.SocketPath(s.Env, s.ID))
		},
		"moved out of its limits": func(t *testing.T, s *sandbox.Sandbox) error {
			for _, procs := range append(root("memory/cgroup.procs"), root("init/cgroup.procs")...) {
				return os.WriteFile(procs, fmt.Appendf(nil, "%d", s.PID()), 0)
			}
			return errors.New("no other cgroup found")
		},
		"another network namespace": func(t *testing.T, s *sandbox.Sandbox) error {
			pin := filepath.Join(s.Env.Run, "net")
			err := unix.Unmount(pin, unix.MNT_DETACH)
			sandboxtest.PinNetNS(t, pin)
			return err
		},
		"an impostor answers": func(t *testing.T, s *sandbox.Sandbox) error {
			spec := sandboxtest.Spec(t, s.Env)
			spec.ID = "ba9876543210"
			other, err := sandbox.Create(t.Context(), spec)
			if err != nil {
				return err
			}
			return os.Rename(sandbox.SocketPath(other.Env, other.ID), sandbox.SocketPath(s.Env, s.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := sandboxtest.Env(t)
			s := sandboxtest.Start(t, env)
			if _, err := sandbox.Load(t.Context(), env, s.ID); err != nil {
				t.Fatal(err) // the control
			}
			if err := tamper(t, s); err != nil {
				t.Fatal(err)
			}
			_, err := sandbox.Load(t.Context(), env, s.ID)
			if !errors.Is(err, sandbox.ErrNotRunning) {
				t.Errorf("Load: %v", err)
			}
			t.Log(err)
		})
	}
}

// The same number may be another process by now: only the start time tells.
func TestReusedPIDIsNotTaken(t *testing.T) {
	env := sandboxtest.Env(t)
	s := sandboxtest.Start(t, env)
	state := filepath.Join(env.Run, "sandbox", s.ID, "state.json")
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(b, fmt.Appendf(nil, `"init_process_pid":%d`, s.PID()), fmt.Appendf(nil, `"init_process_pid":%d`, os.Getpid()), 1)
	if bytes.Equal(b, forged) {
		t.Fatal("the state has no such field")
	}
	if err := os.WriteFile(state, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Load(t.Context(), env, s.ID); !errors.Is(err, sandbox.ErrNotRunning) {
		t.Errorf("Load: %v", err)
	}
	if err := sandbox.Destroy(t.Context(), env, s.ID); err != nil { // and this process survives it
		t.Error(err)
	}
}

func BenchmarkCreateDestroy(b *testing.B) {
	env := sandboxtest.Env(b)
	spec := sandboxtest.Spec(b, env)
	for b.Loop() {
		if _, err := sandbox.Create(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := sandbox.Destroy(b.Context(), env, spec.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkLoad(b *testing.B) {
	env := sandboxtest.Env(b)
	s := sandboxtest.Start(b, env)
	for b.Loop() {
		if _, err := sandbox.Load(b.Context(), env, s.ID); err != nil {
			b.Fatal(err)
		}
	}
}
