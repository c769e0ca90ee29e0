//go:build linux

package track

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/track/deny"
)

// What of refusals the kernel doesn't let us see.
const (
	unseen      = "which accesses are refused is not seen: "
	unseenSome  = "not all refused changes of names are seen: this kernel has no "
	unseenFlood = "refused accesses came faster than they were read"
)

// heed begins to hear of what is refused. A host that can't tell tracks all the same, and
// the record says what is lacking.
func (w *watch) heed(tap *deny.Tap) {
	ns, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(w.people.namespace, "pid:["), "]"), 10, 32)
	if err == nil {
		var blind []string
		w.refusals, blind, err = tap.Open(uint32(ns))
		if len(blind) > 0 {
			w.gap(access.Gap{Reason: unseenSome + strings.Join(blind, ", ")})
		}
	}
	if err != nil {
		w.gap(access.Gap{Reason: unseen + err.Error()})
	}
}

// follow takes over what is mounted now: it says why something is refused.
func (w *watch) follow(tree filesystem.Tree) {
	w.working.Lock()
	defer w.working.Unlock()
	w.tree = tree
}

// readRefusals notes what was refused.
func (w *watch) readRefusals() {
	if w.refusals == nil {
		return
	}
	now := time.Now()
	for range maxNoted {
		e, ok, err := w.refusals.Read()
		w.failing(err)
		if !ok || err != nil {
			break
		}
		w.refused(e, now)
	}
	if n := w.refusals.Lost(); n > 0 {
		w.log.Warn("refusals were lost", "number", n)
		w.book.gap(access.Gap{From: w.since, To: now, Lost: n, Reason: unseenFlood}, true, filesystem.Denied)
	}
}

// refused notes one.
func (w *watch) refused(e deny.Event, now time.Time) {
	uid := e.UID
	x := access.Access{
		Time: now, Op: filesystem.Denied, Path: e.Path, To: e.To, Folder: e.Op == deny.Mkdir || e.Op == deny.Rmdir,
		Tried: tried(e), Error: unix.ErrnoName(e.Errno),
		Process: access.Process{PID: e.PID, HostPID: e.HostPID, UID: &uid, Command: e.Command},
	}
	if who, _ := w.people.look(e.HostPID, now); who.PID == e.PID { // else it has ended
		x.Script = who.Script
	}
	at := x.Path
	if x.Path != "" {
		if x.Via = w.led(x.Path); x.Via != "" {
			at = x.Via
		}
	}
	if !astray(at) && !w.marks.wanted(x.Path) && !w.marks.wanted(at) && (x.To == "" || !w.marks.wanted(x.To)) {
		return
	}
	r := w.tree.Refusal(at, e.Errno)
	if r.Path == "" && x.To != "" { // of two paths one was refused
		if o := w.tree.Refusal(x.To, e.Errno); o.Path != "" {
			r = o
		}
	}
	x.Rule, x.Why, x.Fix = r.Item, r.Why, r.Fix
	w.book.add(x)
}

// tried is what an event would have been.
func tried(e deny.Event) string {
	switch e.Op {
	case deny.Open:
		switch {
		case e.Executes():
			return filesystem.Execute
		case e.Writes():
			return filesystem.Write
		}
		return filesystem.Read
	case deny.Unlink, deny.Rmdir:
		return filesystem.Delete
	case deny.Rename:
		return filesystem.Rename
	}
	return filesystem.Create
}

// magic are paths that lead where only the process knows: see proc_pid_root(5) and those
// beside it.
var magic = regexp.MustCompile(`^/proc/(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?/(?:root|cwd|fd/[0-9]+)(?:/|$)`)

var rootLink = regexp.MustCompile(`^/proc/(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?/root(/|$)`)

// astray reports whether nobody knows where a path led.
func astray(p string) bool { return p == "" || magic.MatchString(p) }

// led is where the symbolic links in a path of the sandbox lead now; "" if there are none.
// Only what the kernel remembers it is asked for: it was there just now, and nothing of
// the sandbox's may keep us waiting.
func (w *watch) led(p string) string {
	was := p
	for range 8 {
		m := rootLink.FindStringIndex(p)
		if m == nil {
			break
		}
		p = path.Clean("/" + p[m[1]:])
	}
	for dir, rest := p, ""; dir != "/"; dir, rest = path.Dir(dir), path.Join(path.Base(dir), rest) {
		if to, ok := w.resolve(dir); ok {
			p = path.Join(to, rest)
			break
		}
	}
	if p == was {
		return ""
	}
	return p
}

// resolveCached is RESOLVE_CACHED of openat2(2).
const resolveCached = 0x20

func (w *watch) resolve(p string) (string, bool) {
	fd, err := unix.Openat2(int(w.marks.view.Root().Fd()), p, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolveCached,
	})
	if err != nil {
		return "", false
	}
	defer func() { _ = unix.Close(fd) }()
	to, err := os.Readlink(linkOf(fd))
	return strings.TrimSuffix(to, deleted), err == nil
}

// cannotDeny says why a host can't tell what is refused.
func cannotDeny(err error) string {
	return fmt.Sprintf("this host can't tell which accesses are refused: %v", err)
}
