//go:build linux

package sandbox

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the kernel counts for a user, it counts for the maker of the user's
// namespace, too, and compares with the maker's limit (ucounts). The maker of a
// sandbox's is root: one that took all would leave none to the host's services.

// share is how many sandboxes it takes to use up what root has.
const share = 4

// sharedLimits are of getrlimit(2): queued signals, with POSIX timers, and bytes
// in message queues. Others that are counted so root is exempt from.
var sharedLimits = []int{unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE}

// keepShares lowers the limits of this program. A user namespace takes them over
// as a bound of its own, however many users there are in it.
func keepShares() {
	for _, which := range sharedLimits {
		var l unix.Rlimit
		if unix.Getrlimit(which, &l) != nil {
			continue
		}
		l.Max /= share
		l.Cur = min(l.Cur, l.Max)
		_ = unix.Setrlimit(which, &l) // lowering is always allowed
	}
}

// sharedCounts are in /proc/sys/user, see namespaces(7) and inotify(7).
var sharedCounts = []string{"user.max_inotify_instances", "user.max_inotify_watches"}

// shares are the sandbox's own values of sharedCounts.
func shares() map[string]string {
	all := map[string]string{}
	for _, name := range sharedCounts {
		if n, err := readNumber("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			all[name] = strconv.Itoa(n / share)
		}
	}
	return all
}

// keepNoCore sets the limit on core files of this program, and so of all that it starts, to 1: the
// only one with which the kernel starts no program either, core(5). That of core_pattern runs as the host's root,
// outside of the sandbox and its limits, on what a command chose to leave in its memory and its name; 0 doesn't
// keep it from that. No command can change it again, up or down: see tighten.
func keepNoCore() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) }
