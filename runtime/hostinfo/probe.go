package hostinfo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo/thread"
)

// Probe finds what any user can find, without changing anything.
func Probe(ctx context.Context, dir string) Facts { return Gather(ctx, dir, Cheap()) }

// Cheap returns the probes that need no privilege and link little. Package probe
// adds the others.
func Cheap() Probes {
	return Probes{
		System:     system,
		Namespaces: namespaces,
		SubIDs:     subIDs,
		Landlock:   landlock,
		Seccomp:    seccomp,
		Python:     pythons,
		Disk:       disk,
	}
}

// switches restrict user namespaces on some distribution or other.
var switches = []string{
	"kernel.unprivileged_userns_clone",
	"kernel.apparmor_restrict_unprivileged_userns",
	"user.max_user_namespaces",
}

func system(context.Context) System {
	s := System{EUID: os.Geteuid(), Sysctls: map[string]string{}}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		s.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	status, _ := readText("/proc/thread-self/status")
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "CapEff":
			s.Caps, _ = strconv.ParseUint(value, 16, 64)
		case "Seccomp":
			s.Seccomp, _ = strconv.Atoi(value)
		case "NoNewPrivs":
			s.NoNewPrivs = value == "1"
		}
	}
	for _, name := range switches {
		if text, err := readText("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			s.Sysctls[name] = strings.TrimSpace(text)
		}
	}
	return s
}

// nowhere is a program that does not exist.
const nowhere = "/proc/self/blast-no-such-program"

// namespaces clones a child into new namespaces, in which it then fails to find
// its program: the clone is all that is wanted of it.
func namespaces(context.Context) Outcome {
	cmd := exec.Cmd{Path: nowhere, Args: []string{nowhere}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	err := cmd.Start()
	if errors.Is(err, unix.ENOENT) {
		return Outcome{State: Works}
	}
	if err == nil { // there is such a program after all
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return Outcome{State: Works}
	}
	return Try(errors.Unwrap(err))
}

func subIDs(context.Context) SubIDs {
	_, errU := exec.LookPath("newuidmap")
	_, errG := exec.LookPath("newgidmap")
	s := SubIDs{Helpers: errU == nil && errG == nil}
	text, err := readText("/etc/subuid")
	if err != nil {
		return s
	}
	id := strconv.Itoa(os.Getuid())
	name := id
	if u, err := user.LookupId(id); err == nil {
		name = u.Username
	}
	s.Count = countSubIDs(text, name, id)
	return s
}

// countSubIDs adds up the ranges of a user in /etc/subuid: "name or id:first:count".
func countSubIDs(text, name, id string) int {
	total := 0
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != name && f[0] != id {
			continue
		}
		if n, err := strconv.Atoi(f[2]); err == nil && n > 0 {
			total += n
		}
	}
	return total
}

// landlock asks for the ABI version, landlock_create_ruleset(2).
func landlock(context.Context) int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// seccomp installs a filter that allows everything on a thread that then ends.
func seccomp(context.Context) Outcome {
	return Try(thread.Run(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
		program := unix.SockFprog{Len: 1, Filter: &allow}
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
		if errno != 0 {
			return fmt.Errorf("install filter: %w", errno)
		}
		return nil
	}))
}

// pythonWithin bounds how long an interpreter may take to say its version.
const pythonWithin = 5 * time.Second

// pythons asks the interpreters of the host base for their versions.
func pythons(ctx context.Context) []Python {
	paths, _ := filepath.Glob("/usr/bin/python3*")
	var found []Python
	seen := map[string]bool{}
	for _, path := range paths {
		rest := strings.TrimPrefix(filepath.Base(path), "python3")
		if strings.Trim(rest, ".0123456789") != "" {
			continue // python3-config, python3.11-dbg
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		if v, err := pythonVersion(ctx, real); err == nil {
			found = append(found, Python{real, v})
		}
	}
	return found
}

func pythonVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, pythonWithin)
	defer cancel()
	// Isolated, and without site: nobody's code runs on the way.
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-c", "import platform; print(platform.python_version())")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	return strings.TrimSpace(string(out[:min(len(out), 64)])), err
}

func disk(_ context.Context, dir string) Disk {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Disk{Err: fmt.Sprintf("statfs %s: %v", dir, err)}
	}
	return Disk{Type: fsName(st.Type), Size: st.Blocks * uint64(st.Bsize), Free: st.Bavail * uint64(st.Bsize), Quotas: projectQuotas(dir)}
}

// projectQuotas reports whether the file system of dir counts by project: the kernel shows
// that as an option of it, prjquota (ext4, xfs) or pquota.
func projectQuotas(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return false
	}
	text, err := readText("/proc/self/mountinfo")
	return err == nil && countsProjects(text, fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
}

func countsProjects(mountinfo, device string) bool {
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 3 || len(r) < 3 || l[2] != device {
			continue
		}
		for o := range strings.SplitSeq(r[2], ",") {
			if o == "prjquota" || o == "pquota" {
				return true
			}
		}
	}
	return false
}

// fsName names the file systems that people put projects on, statfs(2).
func fsName(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case 0x2fc12fc1:
		return "zfs"
	case unix.V9FS_MAGIC:
		return "9p"
	}
	return fmt.Sprintf("%#x", magic)
}

// maxText bounds what is read of a file that is a few lines long.
const maxText = 1 << 20

func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), maxText))
	return string(b), err
}
