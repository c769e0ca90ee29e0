//go:build linux

package breakout

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/breakout/probes"
	"blast.example/blast/testfixtures/netlab"
	"blast.example/blast/testfixtures/pace"
	"blast.example/blast/testfixtures/whole"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m.Run)) }

// A world is a host with something to find, and a project with sandboxes.
type world struct {
	t            *testing.T
	blastd       *whole.Blast
	bin, project string
	folder       string // outside of the project
	secret       string // what is in all places that no sandbox may see
	target       probes.Target
	before       map[string]string
	plain        map[string]string // what a command may have, by environment
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, secret: "the-secret-" + rand.Text(), plain: map[string]string{}}
	t.Setenv(probes.Variable, w.secret) // whoever calls blast has it, and so has the daemon
	w.blastd = whole.New(t, map[string]string{"breaker": "testfixtures/breakout/attacker"})
	w.bin = w.blastd.Bin
	root, err := os.MkdirTemp("", "blast-breakout-") // not t.TempDir: the sandbox's user must get through
	w.try(err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	w.try(os.Chmod(root, 0o755))
	w.folder = filepath.Join(root, "host")
	w.hide()
	w.processes()
	w.terminal()
	w.sandboxes(root)
	return w
}

func (w *world) try(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

// hide puts the secret into files and what has a name without a file.
func (w *world) hide() {
	w.try(os.Mkdir(w.folder, 0o777), os.Chmod(w.folder, 0o777))
	w.target.Folder = w.folder
	w.target.Secret, w.target.Shown = filepath.Join(w.folder, "secret"), filepath.Join(w.folder, "shown")
	w.target.Shm = filepath.Base(filepath.Dir(w.folder)) + "-shared"
	for path, mode := range map[string]os.FileMode{w.target.Secret: 0o600, w.target.Shown: 0o644, "/dev/shm/" + w.target.Shm: 0o644, "/tmp/" + w.target.Shm: 0o644} {
		w.try(os.WriteFile(path, []byte(w.secret), mode))
	}
	w.t.Cleanup(func() { _ = errors.Join(os.Remove("/dev/shm/"+w.target.Shm), os.Remove("/tmp/"+w.target.Shm)) })
	if h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, w.target.Secret, 0); err == nil {
		w.target.Handle, w.target.Kind = h.Bytes(), h.Type()
	}
	w.target.Key = 0x62000000 + os.Getpid()
	for _, nr := range [][3]uintptr{{unix.SYS_SHMGET, 4096, unix.SYS_SHMCTL}, {unix.SYS_MSGGET, 0, unix.SYS_MSGCTL}, {unix.SYS_SEMGET, 1, unix.SYS_SEMCTL}} {
		args := []uintptr{uintptr(w.target.Key), nr[1], unix.IPC_CREAT | 0o666}
		if nr[0] == unix.SYS_MSGGET {
			args = []uintptr{uintptr(w.target.Key), unix.IPC_CREAT | 0o666, 0}
		}
		id, _, errno := unix.Syscall(nr[0], args[0], args[1], args[2])
		if errno != 0 {
			w.t.Fatal(errno)
		}
		w.t.Cleanup(func() {
			if nr[0] == unix.SYS_SEMGET {
				_, _, _ = unix.Syscall(nr[2], id, 0, unix.IPC_RMID)
				return
			}
			_, _, _ = unix.Syscall(nr[2], id, unix.IPC_RMID, 0)
		})
	}
	name, err := unix.BytePtrFromString(w.target.Shm)
	w.try(err)
	if fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_CREAT|unix.O_RDWR, 0o666, 0, 0, 0); errno == 0 {
		w.t.Cleanup(func() {
			_ = unix.Close(int(fd))
			_, _, _ = unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0)
		})
	}
}

// processes starts the victim.
func (w *world) processes() {
	f, err := os.Open(w.target.Secret)
	w.try(err)
	defer func() { _ = f.Close() }()
	victim := exec.Command("/bin/sleep", "1000000")
	victim.Dir, victim.ExtraFiles, victim.Env = w.folder, []*os.File{f}, []string{"SECRET=" + w.secret}
	w.try(victim.Start())
	w.t.Cleanup(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
	w.target.Victim = victim.Process.Pid
	b, err := os.ReadFile("/proc/partitions")
	w.try(err)
	for line := range strings.Lines(string(b)) {
		var major, minor uint32
		var blocks int
		var name string
		if n, _ := fmt.Sscan(line, &major, &minor, &blocks, &name); n == 4 && blocks > 0 {
			w.target.Disk = unix.Mkdev(major, minor)
			break
		}
	}
}

// terminal opens one of the host's.
func (w *world) terminal() {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	w.try(err)
	w.t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	w.try(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	w.target.Pts = fmt.Sprintf("/dev/pts/%d", n)
}

// command runs blast in the project.
func (w *world) command(args ...string) *exec.Cmd { return w.blastd.Command(w.project, args...) }

func (w *world) blast(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("blast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

const policy = `environment "worker" {
  filesystem {
    workspace {
      source = "."
    }
  }
}
environment "rooted" {
  process {
    user         = "root"
    capabilities = ["chown", "fowner", "kill", "setgid", "setuid"]
  }
  filesystem {
    workspace {
      source = "."
    }
  }
}
environment "small" {
  resource {
    cpu {
      max = 1
    }
    memory {
      max = "64MiB"
    }
    pids {
      max = 64
    }
  }
  filesystem {
    size = "32MiB"
    workspace {
      source = "."
      access = "ro"
    }
  }
}
`

// sandboxes makes the project.
func (w *world) sandboxes(root string) {
	w.project = filepath.Join(root, "project")
	w.outline(w.project)
	if pace.Factor() > 1 { // blast waits ten seconds for Python to say what it is: it shall be read by then
		w.try(exec.Command("/usr/bin/python3", "-c", "import json, platform, sysconfig; sysconfig.get_config_vars()").Run())
	}
	b, err := os.ReadFile(filepath.Join(w.bin, "breaker"))
	w.try(err, os.WriteFile(filepath.Join(w.project, "breaker"), b, 0o755))
	for _, name := range []string{"worker", "rooted", "small"} {
		w.t.Cleanup(func() {
			if out, err := w.command("-e", name, "destroy", "--auto-approve").CombinedOutput(); err != nil {
				w.t.Errorf("destroy %s: %v\n%s", name, err, out)
			}
		})
		w.blast("-e", name, "apply", "--auto-approve")
		w.plain[name] = w.limits(name)
	}
}

// outline makes a project with what the host would believe in it.
func (w *world) outline(dir string) {
	w.try(os.MkdirAll(filepath.Join(dir, ".git/hooks"), 0o755), os.WriteFile(filepath.Join(dir, "blast.hcl"), []byte(policy), 0o644),
		os.WriteFile(filepath.Join(dir, ".git/config"), []byte("[core]\n\tbare = false\n"), 0o644), os.WriteFile(filepath.Join(dir, ".git/HEAD"), []byte("ref: refs/heads/main\n"), 0o644),
		os.MkdirAll(filepath.Join(dir, ".git/objects"), 0o755), os.MkdirAll(filepath.Join(dir, ".git/refs"), 0o755))
}
