//go:build linux

// Package sandboxtest makes what a sandbox needs around it, for tests on the
// real kernel: blast-init, an environment of its own, its cgroup and its network
// namespace; and checks that none of it is left in the end.
package sandboxtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// initProgram is where Main built blast-init.
var initProgram string

// Init is the path of blast-init, built by Main.
func Init() string { return initProgram }

// Main is for TestMain. It lets libcontainer start the test program as PID 1 of
// a container, builds blast-init, and runs the tests.
func Main(m *testing.M) int {
	sandbox.Init()
	dir, err := os.MkdirTemp("", "blast-init-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if initProgram, err = build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build compiles blast-init, or takes the one that BLAST_INIT names where there
// is no compiler.
func build(dir string) (string, error) {
	path := filepath.Join(dir, "blast-init")
	if given := os.Getenv("BLAST_INIT"); given != "" {
		b, err := os.ReadFile(given)
		if err != nil {
			return "", err
		}
		return path, os.WriteFile(path, b, 0o711)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "blast.example/blast/cmd/blast-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build blast-init: %w\n%s", err, out)
	}
	return path, os.Chmod(path, 0o711) // as it is installed
}

// Env makes an environment with a cgroup in every hierarchy and a pinned network
// namespace at <run>/net. When the test ends, every sandbox of it is destroyed,
// and the test fails if anything is left.
func Env(t testing.TB) state.Env {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making namespaces and cgroups takes root")
	}
	root, err := os.MkdirTemp("/run", "blast-test-")
	if err != nil {
		t.Fatal(err)
	}
	// The root of a sandbox, in its own user namespace, must get through.
	if err := os.Chmod(root, 0o711); err != nil {
		t.Fatal(err)
	}
	project := t.TempDir()
	env := state.NewEnv(project, "default", 0, 0)
	env.Run = filepath.Join(root, env.ID)
	var random [4]byte
	_, _ = rand.Read(random[:])
	env.Cgroup = "/blast-test-" + hex.EncodeToString(random[:]) + "/" + env.ID
	for _, dir := range []string{env.Run, env.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { remove(t, root, env) })
	makeCgroups(t, env.Cgroup)
	PinNetNS(t, filepath.Join(env.Run, "net"))
	return env
}

// makeCgroups does the resource kind's part.
func makeCgroups(t testing.TB, path string) {
	t.Helper()
	for _, h := range hierarchies(t) {
		if err := os.MkdirAll(filepath.Join(h, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// hierarchies are the mount points of cgroup v1 and v2.
func hierarchies(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		pre, post, _ := strings.Cut(line, " - ")
		if strings.HasPrefix(post, "cgroup") {
			all = append(all, strings.Fields(pre)[4])
		}
	}
	return all
}

// PinNetNS does the network kind's part: a new namespace with only lo, bound to
// path.
func PinNetNS(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// remove ends all and looks for what is left.
func remove(t testing.TB, root string, env state.Env) {
	ids, err := sandbox.List(env)
	if err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if err := sandbox.Destroy(context.Background(), env, id); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Unmount(filepath.Join(env.Run, "net"), unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
	for _, h := range hierarchies(t) {
		for dir := filepath.Join(h, env.Cgroup); dir != h; dir = filepath.Dir(dir) {
			if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
				t.Errorf("a cgroup is left: %v", err)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(b), root) {
		t.Errorf("a mount below %s is left (%v)", root, err)
		return
	}
	if err := os.RemoveAll(root); err != nil {
		t.Error(err)
	}
}

// ID is an id for tests that make only one sandbox.
const ID = "0123456789ab"

// Spec describes a sandbox as the defaults of the language make it.
func Spec(t testing.TB, env state.Env) sandbox.Spec {
	t.Helper()
	ids, err := sandbox.ClaimIDs(env)
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Spec{
		Env: env, ID: ID, NetNS: filepath.Join(env.Run, "net"),
		Base: sandbox.BaseHost, Hostname: "default",
		IDs: ids, User: "nobody", UID: 65534, GID: 65534,
		Seccomp: sandbox.SeccompDefault, Init: Init(),
	}
}

// Start makes a sandbox of the default Spec.
func Start(t testing.TB, env state.Env) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Create(t.Context(), Spec(t, env))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
