package cgroup

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/state"
)

// action is the environment variable that makes the test binary do the work of a
// process in a cgroup instead of testing.
const action = "BLAST_CGROUP_ACTION"

func TestMain(m *testing.M) {
	if what := os.Getenv(action); what != "" {
		os.Exit(act(what, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func act(what string, args []string) int {
	switch what {
	case "hog": // touches that many MiB, says so, stays
		var mib int
		fmt.Sscan(args[0], &mib)
		kept := make([][]byte, 0, mib)
		for range mib {
			b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
			if err != nil {
				return 3
			}
			kept = append(kept, b)
		}
		fmt.Println("touched", len(kept))
		_, _ = os.Stdin.Read(make([]byte, 1))
		return 0
	case "direct": // path, "r" or "w", MiB: past the page cache, in requests of 64 KiB
		var mib int
		fmt.Sscan(args[2], &mib)
		flags := os.O_RDONLY
		if args[1] == "w" {
			flags = os.O_WRONLY
		}
		f, err := os.OpenFile(args[0], flags|unix.O_DIRECT, 0)
		if err != nil {
			fmt.Println(err)
			return 3
		}
		buf, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return 3
		}
		for i := range mib * 16 {
			if args[1] == "w" {
				_, err = f.WriteAt(buf, int64(i)*64<<10)
			} else {
				_, err = f.ReadAt(buf, int64(i)*64<<10)
			}
			if err != nil {
				fmt.Println(err)
				return 3
			}
		}
		return 0
	}
	return 4
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes cgroups")
	}
}

// newEnv returns an environment with a cgroup of the test's own, and checks at
// the end that nothing of it is left.
func newEnv(t *testing.T) state.Env {
	t.Helper()
	needRoot(t)
	project, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env := state.NewEnv(project, "test", 0, 0)
	env.Run = t.TempDir()
	env.Cgroup = fmt.Sprintf("/blast-test-%d/%s", os.Getpid(), env.ID)
	t.Cleanup(func() {
		ctx := context.Background()
		gone := plan.Change{Addr: resource.LimitsAddr}
		if err := (Host{}).Commit(ctx, env, gone); err != nil {
			t.Errorf("clean up: %v", err)
		}
		for _, h := range mounted(t) {
			for _, dir := range []string{env.Cgroup, filepath.Dir(env.Cgroup)} {
				if exists(h.root, dir) {
					t.Errorf("%s%s is left", h.root, dir)
				}
			}
		}
	})
	return env
}

func mounted(t *testing.T) []hierarchy {
	t.Helper()
	hs, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	return hs
}

// home is where this host has the controller for it.
func home(t *testing.T, it item) place {
	t.Helper()
	for _, p := range places(mounted(t), nil) {
		for _, own := range familyOf(it).items {
			if own == it && (p.name == familyOf(it).v1 || p.name == familyOf(it).v2) {
				return p
			}
		}
	}
	t.Fatalf("no controller for %s on this host", it)
	return place{}
}

func ptr[T any](v T) *T { return &v }

func object(l resource.Limits) plan.Object { return plan.NewObject(resource.LimitsAddr, l, nil) }

// change makes one from a to b; nil is "not there".
func change(a, b *resource.Limits) plan.Change {
	c := plan.Change{Addr: resource.LimitsAddr}
	if a != nil {
		c.From = object(*a).Attrs
	}
	if b != nil {
		c.To = object(*b).Attrs
	}
	return c
}

func apply(t *testing.T, env state.Env, c plan.Change) {
	t.Helper()
	if err := (Host{}).Apply(t.Context(), env, c); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// observed returns the attributes of resource.limits, "" if it is not there.
func observed(t *testing.T, env state.Env) string {
	t.Helper()
	objs, err := Host{}.Observe(t.Context(), env)
	if err != nil {
		t.Fatalf("Observe: %v", err)
	}
	for _, o := range objs {
		if o.Addr == resource.LimitsAddr {
			return string(o.Attrs)
		}
	}
	return ""
}

func mustSee(t *testing.T, env state.Env, l *resource.Limits) {
	t.Helper()
	want := ""
	if l != nil {
		want = string(object(*l).Attrs)
	}
	if got := observed(t, env); got != want {
		t.Fatalf("Observe\n got %s\nwant %s", got, want)
	}
}

// leaf makes the child in which a container would be, in every hierarchy that
// has the environment's group.
func leaf(t *testing.T, env state.Env) []string {
	t.Helper()
	var dirs []string
	for _, h := range mounted(t) {
		group := filepath.Join(h.root, env.Cgroup)
		if !exists(group, "") {
			continue
		}
		dir := filepath.Join(group, "sandbox")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		t.Fatal("the environment has no cgroup")
	}
	return dirs
}

// inside prepares a command that enters the environment's leaf before it starts
// itself. It is ended with the test.
func inside(t *testing.T, env state.Env, name string, args ...string) *exec.Cmd {
	t.Helper()
	join := ""
	for _, dir := range leaf(t, env) {
		join += fmt.Sprintf("echo $$ > %s/cgroup.procs || exit 9; ", dir)
	}
	return exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", join + `exec "$@"`, "sh", name}, args...)...)
}

// acting is inside with one of the test binary's own actions.
func acting(t *testing.T, env state.Env, what string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := inside(t, env, self, args...)
	cmd.Env = append(os.Environ(), action+"="+what)
	return cmd
}

// outcome runs cmd and tells how it ended.
func outcome(t *testing.T, cmd *exec.Cmd) (took time.Duration, out string, killed bool) {
	t.Helper()
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	start := time.Now()
	err := cmd.Run()
	took = time.Since(start)
	status, _ := cmd.ProcessState.Sys().(interface{ Signaled() bool })
	if err != nil && !status.Signaled() && cmd.ProcessState.ExitCode() != 2 {
		t.Fatalf("%v: %s", err, b.String())
	}
	return took, strings.TrimSpace(b.String()), status.Signaled()
}

// run runs a tool of the host's and returns what it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}
