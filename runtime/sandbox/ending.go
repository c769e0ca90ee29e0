//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// How a sandbox ended whose init was not ended by Blast, as far as that is known.
const (
	OutOfMemory   = "out of memory"
	perhapsMemory = ", perhaps as it was out of memory"
)

// endingNote says how sandbox id ended.
func endingNote(id string) string { return "ended-" + id }

// Ending is how the sandbox ended though nobody wanted it to: OutOfMemory, or "killed
// by signal 9". It is "" if it runs, or if no daemon was there to see it.
func Ending(env state.Env, id string) (how string, err error) {
	watches.Lock()
	w := watches.of[SkeletonDir(env, id)]
	watches.Unlock()
	if w != nil && w.over() {
		select { // it is being found out
		case <-w.done:
		case <-time.After(2 * patience):
		}
	}
	_, err = env.ReadNote(endingNote(id), &how)
	return how, err
}

// over reports whether the init has ended. One that was not even known to begin has.
func (w *watch) over() bool {
	r, err := os.OpenRoot(fmt.Sprintf("/proc/%d", w.pid))
	if err != nil {
		return true
	}
	defer func() { _ = r.Close() }()
	_, err = startOf(r)
	return err != nil
}

// watches are the inits whose end this process will see, by the root of their
// sandbox. One that is not there any more was ended on purpose.
var watches = struct {
	sync.Mutex
	of map[string]*watch
}{of: map[string]*watch{}}

// A watch notes how an init ends.
type watch struct {
	env state.Env
	id  string
	pid int
	log *oomLog

	done chan struct{} // closed when it is noted, or never will be
}

// newWatch begins to watch an init, unless somebody does.
func newWatch(env state.Env, id string, pid int) *watch {
	watches.Lock()
	defer watches.Unlock()
	key := SkeletonDir(env, id)
	if watches.of[key] != nil {
		return nil
	}
	w := &watch{env, id, pid, openOOMLog(env, id), make(chan struct{})}
	watches.of[key] = w
	return w
}

// expectEnd keeps the end of a sandbox from being noted: it is wanted. When it has
// returned, nothing is noted any more.
func expectEnd(env state.Env, id string) {
	watches.Lock()
	defer watches.Unlock()
	delete(watches.of, SkeletonDir(env, id))
}

// ended notes how it was.
func (w *watch) ended(status syscall.WaitStatus) {
	defer w.close()
	how := w.tell(status) // first, as it takes a while
	watches.Lock()
	defer watches.Unlock()
	key := SkeletonDir(w.env, w.id)
	if watches.of[key] != w {
		return
	}
	delete(watches.of, key)
	_ = w.env.WriteNote(endingNote(w.id), how) // else it is not known
}

func (w *watch) close() {
	w.log.close()
	close(w.done)
}

func (w *watch) tell(status syscall.WaitStatus) string {
	switch {
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return w.log.killed(w.pid)
	case status.Signaled():
		return killedBy(status.Signal())
	}
	return fmt.Sprintf("exited with status %d", status.ExitStatus())
}

func killedBy(s syscall.Signal) string { return fmt.Sprintf("killed by signal %d", s) }

// Attend sees how the sandbox ends that another process started. Its new parent may
// take that away at once; before Linux 6.15 it may then not be known.
func Attend(env state.Env, id string) error {
	pid, start, ok := recorded(env, id)
	if !ok {
		return nil
	}
	w := newWatch(env, id, pid)
	if w == nil {
		return nil
	}
	pidfd, err := openInit(pid, start)
	if err != nil || pidfd == nil {
		expectEnd(env, id)
		w.close()
		return err
	}
	go func() {
		defer func() { _ = pidfd.Close() }()
		if status, err := exitOf(pidfd, pid, start); err == nil {
			w.ended(status)
			return
		}
		expectEnd(env, id)
		w.close()
	}()
	return nil
}

// openInit opens the init that was started then; nil if it has ended.
func openInit(pid int, start uint64) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch init: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	r, err := (&Sandbox{pid: pid, start: start}).Proc()
	if err != nil { // the number is another's by now
		return nil, f.Close()
	}
	return f, r.Close()
}

// exitOf waits until an init has ended, and says how it did.
func exitOf(pidfd *os.File, pid int, start uint64) (status syscall.WaitStatus, err error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("watch init: %w", err)
	}
	known := false
	err = raw.Read(func(fd uintptr) bool { // awake when it ends, and again when its parent knows
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, 0); err != nil || n == 0 {
			return false
		}
		if status, known = exitOfZombie(pid, start); !known {
			status, known = exitOfGone(int(fd))
		}
		return known || p[0].Revents&unix.POLLHUP != 0
	})
	if err == nil && !known {
		err = errors.New("watch init: the kernel doesn't say how it ended")
	}
	return status, err
}

// exitOfZombie says how a process ended that its parent has not waited for:
// exit_code of proc_pid_stat(5).
func exitOfZombie(pid int, start uint64) (syscall.WaitStatus, bool) {
	r, err := os.OpenRoot(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return 0, false
	}
	defer func() { _ = r.Close() }()
	f, err := statOf(r)
	if err != nil || f[0] != "Z" || f[19] != fmt.Sprint(start) {
		return 0, false
	}
	n, err := strconv.Atoi(f[49])
	return syscall.WaitStatus(n), err == nil
}

// exitOfGone says it of one that its parent has waited for (PIDFD_GET_INFO since
// Linux 6.15).
func exitOfGone(pidfd int) (syscall.WaitStatus, bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err := unix.IoctlPidfdInfo(pidfd, &info)
	return syscall.WaitStatus(info.Exit_code), err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
}
