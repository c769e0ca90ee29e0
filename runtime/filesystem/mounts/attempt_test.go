//go:build linux

package mounts_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/sandbox"
)

// attemptName is the name under which the test program is run inside.
const attemptName = "attempt"

// A try is something that a sandbox must refuse to do with a protected path, and the same
// with one that is not protected: without that, a test would also pass if the
// attempt was wrong in itself.
type try func(path string) error

// hidden are what must not be possible with what can't be seen, and readOnly with
// what can't be written; neither must be possible with what is above them.
var (
	hidden = map[string]try{
		"read": func(p string) error { _, err := os.ReadFile(p); return err },
		"open to read it by O_PATH and /proc": func(p string) error {
			fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			_, err = os.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
			return err
		},
		"read by /proc/self/root": func(p string) error { _, err := os.ReadFile("/proc/self/root" + p); return err },
		"read by /proc/self/cwd": func(p string) error {
			if err := os.Chdir(filepath.Dir(p)); err != nil {
				return err
			}
			_, err := os.ReadFile("/proc/self/cwd/" + filepath.Base(p))
			return err
		},
		"read through ..": func(p string) error {
			_, err := os.ReadFile(filepath.Dir(p) + "/../" + filepath.Base(filepath.Dir(p)) + "/" + filepath.Base(p))
			return err
		},
		"read by a link": func(p string) error {
			l := "/workspace/link"
			defer func() { _ = os.Remove(l) }()
			if err := os.Symlink(p, l); err != nil {
				return err
			}
			_, err := os.ReadFile(l)
			return err
		},
		"copy by the kernel": func(p string) error {
			in, err := os.Open(p)
			if err != nil {
				return err
			}
			out, err := os.Create("/tmp/copy")
			if err != nil {
				return err
			}
			_, err = unix.CopyFileRange(int(in.Fd()), nil, int(out.Fd()), nil, 1, 0)
			if errors.Is(err, unix.EXDEV) {
				return nil
			}
			return err
		},
		"find out its size": func(p string) error {
			var st unix.Statx_t
			if err := unix.Statx(unix.AT_FDCWD, p, 0, unix.STATX_ALL, &st); err != nil {
				return err
			}
			if st.Size == 0 {
				return errors.New("no size")
			}
			return nil
		},
		"read an attribute": func(p string) error { _, err := unix.Getxattr(p, "user.secret", make([]byte, 16)); return err },
		"exchange with what can be read": func(p string) error {
			if err := exchange(p, "/workspace/other"); err != nil {
				return err
			}
			_, err := os.ReadFile("/workspace/other")
			return err
		},
		"link elsewhere by O_PATH": func(p string) error {
			fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			l := "/workspace/hard" + strconv.Itoa(os.Getpid())
			if err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, l, unix.AT_SYMLINK_FOLLOW); err != nil {
				return err
			}
			_, err = os.ReadFile(l)
			return err
		},
		"read by a link in memory": func(p string) error {
			l := "/tmp/link" + strconv.Itoa(os.Getpid())
			if err := os.Symlink(p, l); err != nil {
				return err
			}
			_, err := os.ReadFile(l)
			return err
		},
		"open by handle": func(p string) error {
			h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, p, 0)
			if err != nil {
				return err
			}
			dir, err := unix.Open(filepath.Dir(p), unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			fd, err := unix.OpenByHandleAt(dir, h, unix.O_RDONLY)
			if err != nil && !strings.HasPrefix(filepath.Base(p), "free") {
				return err
			}
			_ = unix.Close(fd)
			return nil // nobody inside may do it: there is no control but the handle
		},
	}
	readOnly = map[string]try{
		"write":             func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) },
		"append":            openWith(unix.O_WRONLY | unix.O_APPEND),
		"truncate":          func(p string) error { return os.Truncate(p, 0) },
		"open with O_TRUNC": openWith(unix.O_RDONLY | unix.O_TRUNC),
		"chmod":             func(p string) error { return os.Chmod(p, 0o640) },
		"utimes":            func(p string) error { return os.Chtimes(p, time.Now(), time.Now()) },
		"setxattr":          func(p string) error { return unix.Setxattr(p, "user.x", []byte("x"), 0) },
		"remove":            os.Remove,
		"rename":            func(p string) error { return os.Rename(p, p+".away") },
		"exchange":          func(p string) error { return exchange(p, "/workspace/other") },
		"rename over it": func(p string) error {
			if err := os.WriteFile("/workspace/mine", []byte("x"), 0o600); err != nil {
				return err
			}
			return os.Rename("/workspace/mine", p)
		},
		"hard link to it": func(p string) error {
			l := "/workspace/hard" + strconv.Itoa(os.Getpid())
			err := unix.Linkat(unix.AT_FDCWD, p, unix.AT_FDCWD, l, 0)
			if err == nil {
				err = os.WriteFile(l, []byte("x"), 0o600)
			}
			return err
		},
		"write by O_PATH and /proc": func(p string) error {
			fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return os.WriteFile("/proc/self/fd/"+strconv.Itoa(fd), []byte("x"), 0o600)
		},
		"write by /proc/self/root": func(p string) error { return os.WriteFile("/proc/self/root"+p, []byte("x"), 0o600) },
		"write a mapping": func(p string) error {
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		},
	}
	folders = map[string]try{
		"rename":   func(p string) error { return os.Rename(p, p+".away") },
		"exchange": func(p string) error { return exchange(p, "/workspace/folder") },
		"remove":   os.RemoveAll,
		"replace by a link": func(p string) error {
			if err := os.Rename(p, p+".away"); err != nil {
				return err
			}
			return os.Symlink("/workspace/folder", p)
		},
	}
	// hiddenFolders are what must not be possible with a folder that can't be seen.
	hiddenFolders = map[string]try{
		"list":  func(p string) error { _, err := os.ReadDir(p); return err },
		"enter": os.Chdir,
		"watch its names": func(p string) error {
			fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
			if err != nil {
				return err
			}
			_, err = unix.InotifyAddWatch(fd, p, unix.IN_ALL_EVENTS)
			return err
		},
		"look for a name in it": func(p string) error { _, err := os.Lstat(p + "/er/file"); return err },
		"go below by O_PATH": func(p string) error {
			fd, err := unix.Open(p, unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			fd, err = unix.Openat(fd, "er/file", unix.O_RDONLY, 0)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		},
		"find it below a folder that was opened": func(p string) error {
			fd, err := unix.Open("/workspace", unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			_, err = unix.Openat(fd, strings.TrimPrefix(p, "/workspace/")+"/er/file", unix.O_RDONLY, 0)
			return err
		},
		"make a name in it": func(p string) error { return os.WriteFile(p+"/new", nil, 0o600) },
	}
	// mounting must not be possible anywhere.
	mounting = map[string]func() error{
		"umount":                        func() error { return unix.Unmount("/workspace/.env", unix.MNT_DETACH) },
		"remount rw":                    func() error { return unix.Mount("", "/workspace/blast.hcl", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
		"bind":                          func() error { return unix.Mount("/workspace", "/tmp", "", unix.MS_BIND|unix.MS_REC, "") },
		"move":                          func() error { return unix.Mount("/workspace/.env", "/tmp", "", unix.MS_MOVE, "") },
		"unshare":                       func() error { return unix.Unshare(unix.CLONE_NEWNS) },
		"unshare with a user namespace": func() error { return unix.Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWNS) },
		"open_tree": func() error {
			_, err := unix.OpenTree(unix.AT_FDCWD, "/workspace", unix.OPEN_TREE_CLONE)
			return err
		},
		"move_mount": func() error {
			return unix.MoveMount(unix.AT_FDCWD, "/workspace/.env", unix.AT_FDCWD, "/workspace/other", 0)
		},
		"mount_setattr": func() error {
			return unix.MountSetattr(unix.AT_FDCWD, "/workspace/blast.hcl", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
		},
		"umount what a pattern hides": func() error { return unix.Unmount("/workspace/globbed/x.pem", unix.MNT_DETACH) },
		"overlay": func() error {
			return unix.Mount("overlay", "/tmp", "overlay", 0, "lowerdir=/workspace:/tmp")
		},
		"fuse":   func() error { _, err := os.Open("/dev/fuse"); return err },
		"fsopen": func() error { _, err := unix.Fsopen("tmpfs", 0); return err },
		"enter init's": func() error {
			fd, err := unix.Open("/proc/1/ns/mnt", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			return unix.Setns(fd, unix.CLONE_NEWNS)
		},
		"chroot":     func() error { return unix.Chroot("/workspace") },
		"pivot_root": func() error { return unix.PivotRoot("/tmp", "/tmp") },
		"stage":      func() error { _, err := os.ReadDir("/.mounts"); return err },
	}
)

func openWith(flags int) try {
	return func(p string) error {
		fd, err := unix.Open(p, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

func exchange(a, b string) error {
	pa, _ := unix.BytePtrFromString(a)
	pb, _ := unix.BytePtrFromString(b)
	at := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(at), uintptr(unsafe.Pointer(pa)), uintptr(at), uintptr(unsafe.Pointer(pb)), unix.RENAME_EXCHANGE, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// attempt is what runs inside: attempt KIND NAME PATH, or attempt race|churn.
func attempt(args []string) int {
	var err error
	switch args[0] {
	case "hidden":
		err = hidden[args[1]](args[2])
	case "read-only":
		err = readOnly[args[1]](args[2])
	case "hidden folder":
		err = hiddenFolders[args[1]](args[2])
	case "folder":
		err = folders[args[1]](args[2])
	case "mounting":
		err = mounting[args[1]]()
	case "race":
		return race()
	case "hold":
		return hold(args[1])
	case "snatch":
		return snatch(args[1], args[2])
	default:
		return 2
	}
	if err != nil {
		fmt.Print(err)
		return 1
	}
	return 0
}

// race swaps a folder for a link and back for as long as it runs, and writes what
// it can where only a protection should be.
func race() int {
	for {
		_ = os.Rename("/workspace/deep", "/workspace/deep.away")
		_ = os.Symlink("/workspace/folder", "/workspace/deep")
		_ = os.Remove("/workspace/deep")
		_ = os.Mkdir("/workspace/deep", 0o755)
		_ = os.Mkdir("/workspace/deep/er", 0o755)
		_ = os.RemoveAll("/workspace/deep")
		_ = os.Rename("/workspace/deep.away", "/workspace/deep")
	}
}

// hold stands in the workspace until it can read a file there.
func hold(file string) int {
	if err := os.Chdir("/workspace"); err != nil {
		return 2
	}
	if err := os.WriteFile("/tmp/holds"+file, nil, 0o644); err != nil {
		return 2
	}
	for {
		if _, err := os.ReadFile(file); err == nil {
			return 0
		}
		time.Sleep(time.Millisecond)
	}
}

// snatches are ways to get at a file between its making and its mask. They report whether
// it is out of reach.
var snatches = map[string]func(name string) (content []byte, over bool){
	"open": func(name string) ([]byte, bool) {
		b, err := os.ReadFile(name)
		return b, err == nil || masked(name)
	},
	"rename": func(name string) ([]byte, bool) {
		if err := os.Rename(name, name+".txt"); err != nil {
			return nil, errors.Is(err, unix.EBUSY)
		}
		b, _ := os.ReadFile(name + ".txt")
		return b, true
	},
	"link": func(name string) ([]byte, bool) {
		if err := os.Link(name, name+".txt"); err != nil {
			return nil, errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM)
		}
		b, _ := os.ReadFile(name + ".txt")
		return b, true
	},
	"run": func(name string) ([]byte, bool) {
		p, err := os.StartProcess(name, []string{name}, &os.ProcAttr{})
		if err != nil {
			return nil, masked(name)
		}
		_, _ = p.Wait()
		return []byte("secret\n"), true
	},
	"exchange": func(name string) ([]byte, bool) {
		_ = os.WriteFile(name+".txt", nil, 0o600)
		if err := exchange(name, name+".txt"); err != nil {
			return nil, errors.Is(err, unix.EBUSY)
		}
		b, _ := os.ReadFile(name + ".txt")
		return b, true
	},
}

func masked(name string) bool {
	var st unix.Stat_t
	return unix.Stat(name, &st) == nil && st.Mode&0o7777 == 0
}

// snatch tries to get at files that are made one after the other, and says how many it got.
func snatch(how, suffix string) int {
	if err := os.Chdir("/workspace/gap"); err != nil {
		return 2
	}
	got := 0
	for i := range gaps {
		for name := fmt.Sprint(i, suffix); ; {
			b, over := snatches[how](name)
			if len(b) > 0 {
				got++
			}
			if over {
				break
			}
		}
	}
	fmt.Print(got)
	return 0
}

// gaps is how many files a snatcher is after.
const gaps = 60

// attacked is a world with the test program in it.
func attacked(t *testing.T, change ...func(*sandbox.Spec)) (*world, filesystem.Tree) {
	t.Helper()
	w := newWorld(t, files)
	w.put(t, "free", "free\n")
	w.put(t, "other", "other\n")
	w.put(t, "folder/er/file", "x\n")
	w.put(t, "globbed/x.pem", "secret\n")
	w.put(t, "globbed/x.lock", "x\n")
	w.put(t, "globbed/tokens/er/file", "x\n")
	programs := t.TempDir()
	for dir := programs; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(programs, attemptName), self, 0o755); err != nil {
		t.Fatal(err)
	}
	w.start(t, box1, change...)
	tree := w.usual(box1,
		filesystem.Mount{Name: "mount./opt/test", Target: "/opt/test", Type: filesystem.Bind, Source: programs, Access: "ro", Exec: true},
		filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/deep/er/file", Type: filesystem.ReadOnly})
	tree.Patterns = []filesystem.Pattern{hides("*.pem"), hides("tokens"), keeps("/globbed/*.lock")}
	w.create(t, tree)
	return w, tree
}

const program = "/opt/test/" + attemptName

// asRoot makes a sandbox whose commands are root inside, with all that can be granted.
func asRoot(s *sandbox.Spec) {
	s.User, s.UID, s.GID = "root", 0, 0
	s.Capabilities = []string{"CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"}
}

// No command gets at what is hidden, nor changes what is read-only, nor moves
// what is above; and each can do the same next to it.
func TestAttempts(t *testing.T) {
	for user, change := range map[string][]func(*sandbox.Spec){"nobody": nil, "root": {asRoot}} {
		t.Run(user, func(t *testing.T) {
			w, tree := attacked(t, change...)
			ok := func(args ...string) {
				t.Helper()
				if code, out := w.exec(t, box1, append([]string{program}, args...)...); code != 0 {
					t.Errorf("control %q: exit %d: %s", args, code, out)
				}
			}
			refused := func(args ...string) {
				t.Helper()
				if code, out := w.exec(t, box1, append([]string{program}, args...)...); code != 1 {
					t.Errorf("%q: exit %d: %s", args, code, out)
				}
			}
			fresh := func() {
				w.put(t, "free", "free\n")
				w.put(t, "other", "other\n")
				w.put(t, "folder/er/file", "x\n")
				w.put(t, "free.d/er/file", "x\n")
				if err := unix.Setxattr(w.path("free"), "user.secret", []byte("x"), 0); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range []string{".env", "globbed/x.pem"} {
				if err := unix.Setxattr(w.path(p), "user.secret", []byte("x"), 0); err != nil {
					t.Fatal(err)
				}
			}
			for name := range hidden {
				fresh()
				refused("hidden", name, "/workspace/.env")
				fresh()
				refused("hidden", name, "/workspace/globbed/x.pem")
				fresh()
				ok("hidden", name, "/workspace/free")
			}
			for name := range readOnly {
				for _, p := range []string{"/workspace/.env", "/workspace/blast.hcl", "/workspace/.git/config", "/workspace/deep/er/file", "/workspace/globbed/x.pem", "/workspace/globbed/x.lock"} {
					fresh()
					refused("read-only", name, p)
				}
				fresh()
				ok("read-only", name, "/workspace/free")
			}
			for name := range folders {
				for _, p := range []string{"/workspace/.git", "/workspace/deep", "/workspace/deep/er", "/workspace/.git/hooks", "/workspace/.blast", "/workspace/globbed", "/workspace/globbed/tokens"} {
					fresh()
					refused("folder", name, p)
				}
				fresh()
				ok("folder", name, "/workspace/free.d")
				w.shell(t, "rm -rf free.d free.d.away")
			}
			for name := range hiddenFolders {
				fresh()
				refused("hidden folder", name, "/workspace/globbed/tokens")
				ok("hidden folder", name, "/workspace/free.d")
				w.shell(t, "rm -rf free.d")
			}
			for name := range mounting {
				refused("mounting", name)
			}
			w.sees(t, tree)
			for name, content := range files {
				if b, err := os.ReadFile(w.path(name)); !strings.HasSuffix(name, "/") && name != "app.py" && (err != nil || name != "secrets/key" && string(b) != content) {
					t.Errorf("%s is now %q (%v)", name, b, err)
				}
			}
		})
	}
}

// A process inside that swaps folders for links while they are being protected
// gets nothing but an error or the protection; and nothing of the host is touched.
func TestRace(t *testing.T) {
	w, tree := attacked(t)
	bare := tree
	bare.Mounts = slices.DeleteFunc(slices.Clone(tree.Mounts), func(m filesystem.Mount) bool { return strings.HasPrefix(m.Target, "/workspace/deep") })
	w.commit(t, w.apply(t, &tree, &bare))
	absent := tree
	absent.Mounts = append(slices.Clone(bare.Mounts), filesystem.Mount{Name: "workspace.hide", Target: "/workspace/deep/er/absent/x", Type: filesystem.Hide})
	w.spawn(t.Context(), box1, program, "race")
	protected := 0
	for i := range 60 {
		to := []*filesystem.Tree{&tree, &absent}[i%2]
		err := w.host.Apply(t.Context(), w.env, change(&bare, to))
		if err == nil {
			protected++
			w.sees(t, *to)
		}
		w.commit(t, w.apply(t, to, &bare))
	}
	t.Logf("protected in %d of 60", protected)
	if protected == 0 {
		t.Error("never protected: the test shows nothing")
	}
	for _, p := range []string{"absent", "er/absent"} {
		if _, err := os.Lstat("/etc/" + p); err == nil {
			t.Errorf("/etc/%s was made", p)
		}
	}
}

// Who stands in a folder that is taken away, or replaced, doesn't see what was
// hidden in it.
func TestHolder(t *testing.T) {
	w, tree := attacked(t)
	moved := w.usual(box1)
	moved.Mounts[3].Source = w.path("folder")
	ended := make(chan int, 2)
	for _, f := range []string{".env", "absent-until-now"} {
		wait := w.spawn(t.Context(), box1, program, "hold", f)
		go func() { code, _ := wait(); ended <- code }()
	}
	eventually(t, "nobody holds", func() bool {
		code, _ := w.run(t, box1, "test -e /tmp/holds.env && test -e /tmp/holdsabsent-until-now")
		return code == 0
	})
	w.commit(t, w.apply(t, &tree, &moved))
	w.commit(t, w.apply(t, &moved, nil))
	w.put(t, "absent-until-now", "control\n")
	if code := <-ended; code != 0 {
		t.Errorf("the control ended with %d", code)
	}
	select {
	case <-ended:
		t.Error("it read what was hidden")
	case <-time.After(50 * time.Millisecond):
	}
}
