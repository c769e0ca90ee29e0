//go:build linux

package mountns_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// boxed starts a process in a mount namespace of its own, whose root is the
// host's, and returns its number.
func boxed(t *testing.T) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	cmd := exec.Command("sh", "-c", "mount --make-rprivate / && echo ready && exec sleep 1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func enter(t *testing.T, pid int) *mountns.Inside {
	t.Helper()
	in, err := mountns.Enter(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return in
}

func open(t *testing.T, o interface {
	Open(string) (*os.File, error)
}, path string) *os.File {
	t.Helper()
	f, err := o.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func host(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := mountns.OpenHost(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		if err := os.MkdirAll(filepath.Join(dir, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// at finds the rows at a path, as the process sees them.
func at(t *testing.T, in *mountns.Inside, path string) []mountns.Row {
	t.Helper()
	rows, err := in.Table()
	ok(t, err)
	var found []mountns.Row
	for _, r := range rows {
		if r.Point == path {
			found = append(found, r)
		}
	}
	return found
}

// A mount made inside is seen inside only, has the attributes that were asked for, and
// what is mounted below its source stays out.
func TestCloneAttachDetach(t *testing.T) {
	dir := folder(t, "source/below", "place with space")
	ok(t, os.WriteFile(dir+"/source/f", []byte("x"), 0o644))
	ok(t, unix.Mount("below", dir+"/source/below", "tmpfs", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(dir+"/source/below", unix.MNT_DETACH) })
	ok(t, os.WriteFile(dir+"/source/below/g", nil, 0o644))
	in := enter(t, boxed(t))
	place := dir + "/place with space"
	m, err := mountns.Clone(host(t, dir+"/source"), mountns.Attr{Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID})
	ok(t, err)
	ok(t, in.Attach(m, open(t, in, place)))
	rows := at(t, in, place)
	if len(rows) != 1 || !rows[0].Has("ro") || !rows[0].Has("nosuid") || rows[0].Has("nodev") || !strings.HasSuffix(rows[0].Root, "/source") {
		t.Fatalf("%+v", rows)
	}
	root := open(t, in, place)
	if id, unique, err := mountns.ID(root); err != nil || id != rows[0].ID || unique == 0 {
		t.Errorf("%d %d %v", id, unique, err)
	}
	if st, err := mountns.Stat(open(t, in, place+"/f")); err != nil || st.Size != 1 {
		t.Error(st, err)
	}
	if _, err := in.Open(place + "/below/g"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if _, err := os.Lstat(place + "/f"); err == nil {
		t.Error("the host sees it")
	}
	ok(t, in.SetAttr(root, unix.MOUNT_ATTR_NODEV, unix.MOUNT_ATTR_RDONLY))
	if r := at(t, in, place)[0]; r.Has("ro") || !r.Has("nodev") || !r.Has("nosuid") {
		t.Errorf("%+v", r)
	}
	ok(t, in.Detach(root))
	ok(t, in.Detach(root)) // it is gone: no error
	if rows := at(t, in, place); len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
	if _, err := in.Open(place + "/f"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

// One mount takes the place of another without a moment in between.
func TestAttachBeneath(t *testing.T) {
	dir := folder(t, "a/isA", "b/isB", "place")
	in := enter(t, boxed(t))
	for _, name := range []string{"a", "b"} {
		m, err := mountns.Clone(host(t, dir+"/"+name), mountns.Attr{})
		ok(t, err)
		if name == "a" {
			ok(t, in.Attach(m, open(t, in, dir+"/place")))
			continue
		}
		old := open(t, in, dir+"/place")
		err = in.AttachBeneath(m, old)
		if errors.Is(err, unix.EINVAL) {
			t.Skip("before Linux 6.5")
		}
		ok(t, err)
		open(t, in, dir+"/place/isA")
		ok(t, in.Detach(old))
	}
	open(t, in, dir+"/place/isB")
}

// A copy of a mount inside has what that has.
func TestCloneInside(t *testing.T) {
	dir := folder(t, "source/d", "place")
	in := enter(t, boxed(t))
	m, err := mountns.Clone(host(t, dir+"/source"), mountns.Attr{Set: unix.MOUNT_ATTR_NOEXEC})
	ok(t, err)
	ok(t, in.Attach(m, open(t, in, dir+"/place")))
	d := open(t, in, dir+"/place/d")
	c, err := in.CloneInside(d, mountns.Attr{Set: unix.MOUNT_ATTR_RDONLY})
	ok(t, err)
	ok(t, in.Attach(c, d))
	if r := at(t, in, dir+"/place/d"); len(r) != 1 || !r[0].Has("ro") || !r[0].Has("noexec") {
		t.Errorf("%+v", r)
	}
}

// One user's files show as another's, both ways; all others as nobody's.
func TestIDMap(t *testing.T) {
	dir := folder(t, "source", "place")
	ok(t, os.WriteFile(dir+"/source/person", nil, 0o644))
	ok(t, os.Chown(dir+"/source/person", 1234, 2345))
	ok(t, os.WriteFile(dir+"/source/root", nil, 0o644))
	ok(t, os.Chown(dir+"/source", 1234, 2345))
	in := enter(t, boxed(t))
	ns, err := mountns.IDMap{DiskUID: 1234, DiskGID: 2345, HostUID: 71000, HostGID: 72000}.UserNS()
	ok(t, err)
	m, err := mountns.Clone(host(t, dir+"/source"), mountns.Attr{UserNS: ns})
	ok(t, err)
	ok(t, ns.Close())
	ok(t, in.Attach(m, open(t, in, dir+"/place")))
	for name, want := range map[string]string{"person": "71000 72000", "root": "65534 65534"} {
		st, err := mountns.Stat(open(t, in, dir+"/place/"+name))
		if got := fmt.Sprint(st.Uid, " ", st.Gid); err != nil || got != want {
			t.Errorf("%s belongs to %s (%v), want %s", name, got, err, want)
		}
	}
	place := open(t, in, dir+"/place")
	mountns.OnOwnThread(func() {
		ok := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		ok(unix.Setfsgid(72000))
		ok(unix.Setfsuid(71000))
		ok(unix.Mkdirat(int(place.Fd()), "made", 0o755))
	})
	var st unix.Stat_t
	if err := unix.Stat(dir+"/source/made", &st); err != nil || st.Uid != 1234 || st.Gid != 2345 {
		t.Errorf("on disk it belongs to %d:%d (%v)", st.Uid, st.Gid, err)
	}
	if err := unix.Mkdirat(int(place.Fd()), "by root", 0o755); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("root, who has no number there, made a folder: %v", err)
	}
}

func TestTmpfs(t *testing.T) {
	dir := folder(t, "place")
	in := enter(t, boxed(t))
	tm := mountns.Tmpfs{Size: 1 << 20, Inodes: 10, UID: 71000, GID: 72000, Mode: 0o1777}
	m, err := tm.New(unix.MOUNT_ATTR_NODEV)
	ok(t, err)
	ok(t, in.Attach(m, open(t, in, dir+"/place")))
	f := open(t, in, dir+"/place")
	st, err := mountns.Stat(f)
	if err != nil || st.Mode != unix.S_IFDIR|0o1777 || st.Uid != 71000 || st.Gid != 72000 {
		t.Errorf("%o %d %d %v", st.Mode, st.Uid, st.Gid, err)
	}
	bounds := func() string {
		var st unix.Statfs_t
		ok(t, unix.Fstatfs(int(f.Fd()), &st))
		return fmt.Sprint(int64(st.Blocks)*st.Bsize, " ", st.Files)
	}
	if got := bounds(); got != "1048576 10" {
		t.Error(got)
	}
	tm.Size, tm.Inodes = 2<<20, 20
	ok(t, tm.Resize(f))
	if got := bounds(); got != "2097152 20" {
		t.Error(got)
	}
	fd, err := unix.Openat(int(f.Fd()), "full", unix.O_CREAT|unix.O_WRONLY, 0o600)
	ok(t, err)
	if _, err := unix.Write(fd, make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	tm.Size = 4096
	if err := tm.Resize(f); !errors.Is(err, unix.EINVAL) {
		t.Errorf("less than is in it: %v", err)
	}
}

// No link is followed, wherever it lies in the path.
func TestOpenFollowsNoLink(t *testing.T) {
	dir := folder(t, "real/in")
	ok(t, os.Symlink("real", dir+"/link"))
	ok(t, os.Symlink("/proc/self/cwd", dir+"/magic"))
	in := enter(t, boxed(t))
	for path, want := range map[string]error{
		dir + "/link/in": unix.ELOOP, dir + "/magic/x": unix.ELOOP, dir + "/none": unix.ENOENT, dir + "/real/in": nil,
	} {
		f, err := in.Open(path)
		if !errors.Is(err, want) {
			t.Errorf("inside %s: %v", path, err)
		}
		_ = f.Close()
		if f, err = mountns.OpenHost(path); !errors.Is(err, want) {
			t.Errorf("host %s: %v", path, err)
		}
		_ = f.Close()
	}
	st, err := mountns.Stat(open(t, in, dir+"/link"))
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("%o %v", st.Mode, err)
	}
	if _, err := mountns.OpenAt(host(t, dir+"/real"), "../real", unix.O_PATH, unix.RESOLVE_BENEATH); !errors.Is(err, unix.EXDEV) {
		t.Error(err)
	}
}

// A process that is not there can't be looked at.
func TestNoProcess(t *testing.T) {
	if _, err := mountns.Look(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := mountns.Enter(1 << 30); err == nil {
		t.Error("entered nothing")
	}
}

// The thread of OnOwnThread is never the first one, nor used again.
func TestOnOwnThread(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		var tid int
		mountns.OnOwnThread(func() { tid = unix.Gettid(); _ = unix.Unshare(unix.CLONE_FS); _ = unix.Chdir("/proc") })
		if tid == unix.Getpid() {
			t.Fatal("it is the first thread")
		}
		seen[tid] = true
	}
	if wd, err := os.Getwd(); err != nil || wd == "/proc" {
		t.Errorf("its working folder is that of others now: %s %v", wd, err)
	}
}
