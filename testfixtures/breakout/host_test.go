//go:build linux

package breakout

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fingerprint is what attackers would change of the host.
func (w *world) fingerprint() map[string]string {
	f := map[string]string{}
	for _, path := range []string{
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/sysrq", "/proc/sys/fs/suid_dumpable", "/proc/sys/net/ipv4/ip_forward",
		"/proc/modules", "/proc/swaps", "/proc/self/uid_map", "/proc/self/oom_score_adj",
		w.target.Secret, w.target.Shown, filepath.Join(w.project, "blast.hcl"), filepath.Join(w.project, ".git/config"), filepath.Join(w.bin, "blast-init"), filepath.Join(w.bin, "blastd"),
	} {
		b, err := os.ReadFile(path)
		if strings.HasSuffix(path, "ns_last_pid") {
			b = nil
		}
		f[path] = fmt.Sprintf("%x %v", sha256.Sum256(b), err != nil)
	}
	for _, dir := range []string{w.folder, filepath.Join(w.project, ".git/hooks"), "/dev"} {
		es, err := os.ReadDir(dir)
		f[dir] = fmt.Sprint(len(es), err)
	}
	f["the victim"] = fmt.Sprint(unix.Kill(w.target.Victim, 0))
	n, err := unix.Getpriority(unix.PRIO_PROCESS, w.target.Victim)
	f["the victim's priority"] = fmt.Sprint(n, err)
	f["what is special in the project"] = strings.Join(special(w.project), " ")
	return f
}

// special are files with rights, or of a kind, that no sandbox may make.
func special(project string) []string {
	var out []string
	_ = filepath.WalkDir(project, func(path string, _ fs.DirEntry, gone error) error {
		var st unix.Stat_t
		if gone != nil || unix.Lstat(path, &st) != nil || strings.Contains(path, "/.blast/") {
			return nil //nolint:nilerr // what went is not there
		}
		n, err := unix.Lgetxattr(path, "security.capability", make([]byte, 64))
		if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 || st.Mode&unix.S_IFMT == unix.S_IFBLK || st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Uid != 0 || err == nil && n > 0 {
			out = append(out, path)
		}
		return nil
	})
	return out
}

// unharmed compares the host with what it was, and tries the sandbox as the next person would.
func (w *world) unharmed(env string) {
	w.t.Helper()
	after := w.fingerprint()
	for _, what := range slices.Sorted(maps.Keys(w.before)) {
		if w.before[what] != after[what] {
			w.t.Errorf("%s: changed: %s (%s, and was %s)", env, what, after[what], w.before[what])
		}
	}
	if got := w.limits(env); got != w.plain[env] {
		w.t.Errorf("%s: a command afterwards has other limits: %q, and had %q", env, got, w.plain[env])
	}
	w.blast("-e", env, "plan", "--detailed-exitcode")
}

// limits are what a command may have and do.
func (w *world) limits(env string) string {
	w.t.Helper()
	return w.blast("-e", env, "run", "--", "sh", "-c", "ulimit -Sa; ulimit -Ha; grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status")
}
