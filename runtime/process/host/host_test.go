//go:build linux

package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/conformance"
)

// asDaemon makes the test program apply one change and end; see daemon.
const asDaemon = "BLAST_TEST_DAEMON"

func TestMain(m *testing.M) {
	sandbox.Init()
	if job := os.Getenv(asDaemon); job != "" {
		os.Exit(daemon(job))
	}
	os.Exit(sandboxtest.Main(m))
}

func sandboxNamed(name string) process.Sandbox {
	return process.Sandbox{Base: "host", User: "nobody", UID: 65534, GID: 65534, OwnerUID: 1000, OwnerGID: 1000, Seccomp: "default", Hostname: name}
}

func obj(addr string, attrs any) plan.Object { return plan.NewObject(addr, attrs, nil) }

var (
	stateA = []plan.Object{
		obj(process.SandboxAddr, sandboxNamed("a")),
		obj(process.EnvironmentAddr, process.Environment{
			Vars: map[string]string{"A": "1", "PATH": "/usr/bin:/bin"}, Dir: "/",
			Secrets: []secret.Reference{{Name: "S", From: "env:S", Hash: "1"}, {Name: "T", From: "file:t"}},
		}),
	}
	stateB = []plan.Object{
		obj(process.SandboxAddr, process.Sandbox{Base: "host", User: "app", UID: 1000, GID: 1001, OwnerUID: 1000, OwnerGID: 1000, Capabilities: []string{"CAP_CHOWN", "CAP_KILL"}, Seccomp: "default", Hostname: "b"}),
		obj(process.EnvironmentAddr, process.Environment{Dir: "/tmp"}),
	}
	idA, idB = stateA[0].Digest(), stateB[0].Digest()
)

// kernel reads what the kind has on the host, without asking it.
func kernel(t *testing.T, env state.Env) string {
	t.Helper()
	var b strings.Builder
	es, err := os.ReadDir(env.Run)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(env.Run)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, "run", st.Mode())
	for _, e := range es {
		fmt.Fprintln(&b, e.Name())
		if strings.HasSuffix(e.Name(), ".json") {
			text, _ := os.ReadFile(filepath.Join(env.Run, e.Name()))
			fmt.Fprintf(&b, "  %s\n", text)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*" + env.Cgroup + "/*", "/sys/fs/cgroup" + env.Cgroup + "/*"} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if st, err := os.Stat(f); err == nil && st.IsDir() {
				procs, _ := os.ReadFile(f + "/cgroup.procs")
				fmt.Fprintln(&b, "cgroup", f, strings.Count(string(procs), "\n"))
			}
		}
	}
	found, _ := filepath.Glob(env.Dir + "/packages")
	fmt.Fprintln(&b, found)
	return b.String()
}

func initOf(t *testing.T, env state.Env, id string) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Load(t.Context(), env, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	env := sandboxtest.Env(t)
	note := func(name, old, new string) func(*testing.T) {
		return func(t *testing.T) {
			path := filepath.Join(env.Run, name+".json")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(b), old, new, 1)
			if changed == string(b) {
				t.Fatalf("note %s has no %s: %s", name, old, b)
			}
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	conformance.Run(t, conformance.Case{
		Host: host.New(sandboxtest.Init()), Env: env, A: stateA, B: stateB,
		Kernel: func(t *testing.T) string { return kernel(t, env) },
		Tamper: map[string]func(t *testing.T){
			"init killed": func(t *testing.T) {
				if err := unix.Kill(initOf(t, env, idA).PID(), unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			},
			"socket removed": func(t *testing.T) {
				if err := os.Remove(sandbox.SocketPath(env, idA)); err != nil {
					t.Fatal(err)
				}
			},
			"moved out of its limits": func(t *testing.T) {
				pid := strconv.Itoa(initOf(t, env, idA).PID())
				found, _ := filepath.Glob("/sys/fs/cgroup/memory/cgroup.procs")
				v2, _ := filepath.Glob("/sys/fs/cgroup/init/cgroup.procs")
				for _, f := range append(found, v2...) {
					if err := os.WriteFile(f, []byte(pid), 0); err != nil {
						t.Fatal(err)
					}
				}
			},
			"commands sent elsewhere":  note("command-process-socket", "init-"+idA, "init-"+idB),
			"another user claimed":     note("command-process-socket", `"uid":65534`, `"uid":0`),
			"attributes forged":        note("sandbox-"+idA, `"hostname":"a"`, `"hostname":"c"`),
			"variable changed by hand": note("command-process", `"A":"1"`, `"A":"2"`),
			"secret sent elsewhere":    note("command-process", `"env:S"`, `"env:U"`),
		},
	})
}

// apply is one step of a transaction.
func apply(t *testing.T, h *host.Host, env state.Env, addr string, from, to []plan.Object) plan.Change {
	t.Helper()
	c := change(addr, from, to)
	if err := h.Apply(t.Context(), env, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func change(addr string, from, to []plan.Object) plan.Change {
	c := plan.Change{Addr: addr}
	for _, o := range from {
		if o.Addr == addr {
			c.From = o.Attrs
		}
	}
	for _, o := range to {
		if o.Addr == addr {
			c.To = o.Attrs
		}
	}
	return c
}

// daemon applies the change in the environment variable and ends; a test kills
// it meanwhile.
func daemon(job string) int {
	var in struct {
		Env    state.Env
		Change plan.Change
		Init   string
	}
	if err := json.Unmarshal([]byte(job), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println("begun")
	if err := host.New(in.Init).Apply(context.Background(), in.Env, in.Change); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killed applies c in a process of its own and kills that after a time. It
// reports whether the process had ended by itself.
func killed(t *testing.T, env state.Env, c plan.Change, after time.Duration) bool {
	t.Helper()
	job, err := json.Marshal(map[string]any{"Env": env, "Change": c, "Init": sandboxtest.Init()})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asDaemon+"="+string(job))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // the point of the test: any moment will do
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return cmd.ProcessState.Success()
}

// Killed at any moment of a creation: from there both the change and its reverse
// get home, and nothing is left beside.
func TestKilledWhileCreating(t *testing.T) {
	env := sandboxtest.Env(t)
	h := host.New(sandboxtest.Init())
	empty := kernel(t, env)
	create := change(process.SandboxAddr, nil, stateA)
	for i, done := 0, false; !done && i < 40; i++ {
		after := time.Duration(i) * 3 * time.Millisecond
		killed(t, env, create, after)
		if err := h.Apply(t.Context(), env, create.Reverse()); err != nil {
			t.Fatalf("after %v: undo: %v", after, err)
		}
		if err := h.Commit(t.Context(), env, create.Reverse()); err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
		same(t, env, fmt.Sprintf("killed after %v and undone", after), empty)
		done = killed(t, env, create, after)
		if err := h.Apply(t.Context(), env, create); err != nil {
			t.Fatalf("after %v: again: %v", after, err)
		}
		if err := h.Commit(t.Context(), env, create); err != nil {
			t.Fatal(err)
		}
		now, err := h.Observe(t.Context(), env)
		if err != nil || len(now) != 1 || string(now[0].Attrs) != string(stateA[0].Attrs) {
			t.Fatalf("after %v: %v %v", after, now, err)
		}
		gone := change(process.SandboxAddr, stateA, nil)
		if err := h.Apply(t.Context(), env, gone); err != nil {
			t.Fatal(err)
		}
		killed(t, env, gone, 0)
		if err := h.Commit(t.Context(), env, gone); err != nil {
			t.Fatal(err)
		}
		same(t, env, fmt.Sprintf("created after %v and deleted", after), empty)
	}
}

// same waits until the kernel has what it had: processes that libcontainer left
// in the middle of a start notice by themselves that their parent has died.
func same(t *testing.T, env state.Env, when, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = kernel(t, env) + strings.Join(sealed(t), " "); got == want {
			return
		}
	}
	t.Fatalf("%s there is\n%s\nwant\n%s", when, got, want)
}

// sealed lists processes of this test program that libcontainer started.
func sealed(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		b, _ := os.ReadFile(f)
		if strings.HasPrefix(string(b), os.Args[0]+"\x00init\x00") {
			all = append(all, f)
		}
	}
	return all
}

// A packages folder that is a link would show any folder of the host.
func TestPackagesFolderIsNoLink(t *testing.T) {
	env := sandboxtest.Env(t)
	if err := os.Symlink("/root", filepath.Join(env.Dir, "packages")); err != nil {
		t.Fatal(err)
	}
	h := host.New(sandboxtest.Init())
	if err := h.Apply(t.Context(), env, change(process.SandboxAddr, nil, stateA)); err == nil {
		t.Error("it was shown")
	}
	if err := os.Remove(filepath.Join(env.Dir, "packages")); err != nil {
		t.Fatal(err)
	}
	if err := h.Apply(t.Context(), env, change(process.SandboxAddr, nil, stateA)); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	h := host.New("/blast-init")
	ps, err := h.Check(t.Context(), state.Env{}, slices.Concat(stateA, stateB))
	if err != nil || len(ps) > 0 {
		t.Errorf("%v %v", ps, err)
	}
	bad := sandboxNamed("x")
	bad.Capabilities, bad.Seccomp, bad.Base = []string{"CAP_KILL", "CAP_SYS_ADMIN"}, "none", "debian:12"
	ps, err = h.Check(t.Context(), state.Env{}, []plan.Object{obj(process.SandboxAddr, bad)})
	var items []string
	for _, p := range ps {
		items = append(items, p.Item)
	}
	if err != nil || !slices.Equal(items, []string{"capabilities", "seccomp", "base"}) {
		t.Errorf("%v %v", ps, err)
	}
}
