package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
)

// traces are what a probe could leave on the host.
func traces(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, string(mounts))
	for _, pattern := range []string{
		"/sys/block/loop*/loop/backing_file", "/sys/fs/cgroup/blast-doctor-*", "/sys/fs/cgroup/*/blast-doctor-*",
		filepath.Join(dir, "*"), filepath.Join(dir, ".*"), filepath.Join(os.TempDir(), "blast-doctor-*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.HasSuffix(f, "backing_file") { // others use loop devices too
				if b, err := os.ReadFile(f); err != nil || !strings.HasPrefix(string(b), dir) {
					continue
				}
			}
			all = append(all, f)
		}
	}
	return strings.Join(all, "\n")
}

// namespacesOf lists the namespaces that this process' threads are in.
func namespacesOf(t *testing.T) map[string]bool {
	t.Helper()
	links, err := filepath.Glob("/proc/self/task/*/ns/*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, l := range links {
		if ns, err := os.Readlink(l); err == nil && !strings.HasPrefix(ns, "pid_for") {
			all[ns] = true
		}
	}
	return all
}

func TestProbeFindsThisHostAndLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, mounts and cgroups")
	}
	dir := t.TempDir()
	_ = exec.Command("modprobe", "loop").Run() // where it is a module
	before, namespaces := traces(t, dir), namespacesOf(t)
	start := time.Now()
	f := Probe(t.Context(), dir)
	t.Logf("probed in %v", time.Since(start))
	for name, o := range map[string]hostinfo.Outcome{
		"tmpfs": f.Mounts.Tmpfs, "clone": f.Mounts.Clone, "overlay": f.Mounts.Overlay, "idmapped": f.Mounts.IDMapped,
		"table": f.Firewall.Table, "redirect": f.Firewall.Redirect, "set": f.Firewall.Set,
		"log": f.Firewall.Log, "reject": f.Firewall.Reject, "limit": f.Firewall.Limit,
		"cgroups": f.Cgroups.Limits, "fanotify": f.Fanotify, "loop": f.Loop,
		"namespaces": f.Namespaces, "seccomp": f.Seccomp,
	} {
		if o.State != hostinfo.Works { // all of them do, on every machine that this is tested on
			t.Errorf("%s: %+v", name, o)
		}
	}
	if len(f.Python) == 0 || f.Disk.Free == 0 || f.System.Kernel == "" || len(f.Unfinished) > 0 {
		t.Errorf("facts = %+v", f)
	}
	if f.Tier() != hostinfo.TierRoot {
		t.Errorf("tier %s", f.Tier())
	}
	for _, r := range f.Report() {
		t.Logf("%-4s %s: %s", r.Level, r.Title, r.Detail)
		if r.Level == hostinfo.Fail {
			t.Errorf("%s: %s", r.Title, r.Detail)
		}
	}
	if after := traces(t, dir); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	// A thread is gone a moment after its goroutine.
	for deadline := time.Now().Add(5 * time.Second); ; {
		extra := ""
		for ns := range namespacesOf(t) {
			if !namespaces[ns] {
				extra += ns + " "
			}
		}
		if extra == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still in %s", extra)
		}
	}
}

// Where something does not work the probe says so: the controls of the test above.
func TestProbesSeeWhatDoesNotWork(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("proc", dir, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	m := mounts(t.Context(), dir)
	if m.Tmpfs.State != hostinfo.Works {
		t.Errorf("control: tmpfs: %+v", m.Tmpfs)
	}
	for name, o := range map[string]hostinfo.Outcome{"overlay": m.Overlay, "idmapped": m.IDMapped, "loop": loop(t.Context(), dir)} {
		if o.State != hostinfo.Fails || o.Why == "" {
			t.Errorf("%s on proc: %+v", name, o)
		}
	}
	if c := cgroups(t.Context(), dir); !strings.Contains(c.Lacking["io.read_bps"], "no block device") {
		t.Errorf("limits for I/O on proc: %+v", c)
	}
}
