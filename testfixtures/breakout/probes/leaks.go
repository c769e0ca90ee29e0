//go:build linux

package probes

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const leakCategory = "What a command is given by mistake"

// leakProbes look for what a runtime left in its hands. Outside the mistake is made first.
func leakProbes() []Probe { //nolint:gocyclo // a list
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = leakCategory, "leaks-"+p.Name; ps = append(ps, p) }
	add(Probe{Name: "descriptors", What: "a descriptor beyond the first three", CVE: "CVE-2024-21626", Try: func(a *Aim) error {
		if !a.Inside {
			defer leak(a.Folder)()
		}
		fds, err := inherited()
		if err == nil && len(fds) == 0 {
			err = errors.New("there is none")
		}
		return err
	}})
	add(Probe{Name: "folder", What: "the host's files, from a folder behind any descriptor", CVE: "CVE-2024-21626", Reads: true, Try: func(a *Aim) error {
		if !a.Inside {
			defer leak(a.Folder)()
		}
		last := errors.New("no descriptor")
		for fd := range 64 {
			for _, path := range []string{a.Secret, "/../../../../../../../.." + a.Secret} {
				if last = a.read(fmt.Sprintf("/proc/self/fd/%d%s", fd, path)); last == nil {
					return nil
				}
			}
		}
		return last
	}})
	add(Probe{Name: "working-folder", What: "the host's files, from the working folder upwards", CVE: "CVE-2024-21626, CVE-2016-9962", Reads: true, Try: func(a *Aim) error {
		if !a.Inside {
			if err := os.Chdir(a.Folder); err != nil {
				return err
			}
		}
		return a.read("../../../../../../../.." + a.Secret)
	}})
	add(Probe{Name: "working-folder-of-all", What: "the same from the working folders of all processes", Reads: true, Try: func(a *Aim) error {
		last := errors.New("no process")
		es, err := os.ReadDir("/proc")
		for _, e := range es {
			if _, bad := strconv.Atoi(e.Name()); bad != nil {
				continue
			}
			for _, of := range []string{"cwd", "root"} {
				if last = a.read("/proc/" + e.Name() + "/" + of + "/../../../../../../../.." + a.Secret); last == nil {
					return nil
				}
			}
		}
		return errors.Join(err, last)
	}})
	add(Probe{Name: "environment", What: "a variable of whoever ran blast, or of the daemon's", Try: func(a *Aim) error {
		if !a.Inside {
			if err := os.Setenv(Variable, "x"); err != nil {
				return err
			}
		}
		if os.Getenv(Variable) == "" {
			return errors.New("it has none")
		}
		return nil
	}})
	add(Probe{Name: "mounts", What: "a mount of the host's that no line of blast.hcl names", Try: func(a *Aim) error {
		b, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 4 && (f[4] == a.Folder || strings.HasPrefix(f[4], "/sys/") || strings.HasPrefix(f[4], "/boot")) {
				return nil
			}
		}
		return errors.Join(err, errors.New("all are known"))
	}})
	add(Probe{Name: "propagation", What: "a mount that what the host mounts later comes through", Try: func(*Aim) error {
		b, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, " shared:") || strings.Contains(line, " master:") {
				return nil
			}
		}
		if os.Geteuid() == 0 && unix.Mount("", "/", "", unix.MS_SHARED, "") == nil { // so it would be, were it not made private
			return nil
		}
		return errors.Join(err, errors.New("all are private"))
	}})
	add(Probe{Name: "daemon", What: "the socket of Blast's daemon, or of an init", Try: func(a *Aim) error {
		last := errors.New("none is to be seen")
		for _, path := range []string{"/run/blast/blastd.sock", "/run/blast/init.sock"} {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			last = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
			_ = unix.Close(fd)
			if last == nil {
				return nil
			}
		}
		return last
	}})
	return ps
}

// Variable is in the environment of whoever calls blast, and of the daemon.
const Variable = "BREAKOUT_SECRET"

// leak leaves a folder open, as runc did.
func leak(dir string) func() {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return func() {}
	}
	return func() { _ = unix.Close(fd) }
}

// inherited are descriptors that this program has not opened itself, as far as it can tell: the runtime's own
// are an epoll and an eventfd.
func inherited() ([]string, error) {
	var out []string
	es, err := os.ReadDir("/proc/self/fd")
	for _, e := range es {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		n, bad := strconv.Atoi(e.Name())
		if err != nil || bad != nil || n < 3 || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/proc/") {
			continue
		}
		out = append(out, to)
	}
	return out, err
}
