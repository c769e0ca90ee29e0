// Package strike stops a running process between two of its system calls, to kill it
// there or to have one fail, by ptrace(2). Only calls that change something outside of
// the process count, over all of its threads: which is what `strace --inject` can't do,
// as it counts per thread, and a goroutine is on another one each time.
//
//	t, err := strike.Seize(pid, strike.Blow{At: 7, Deed: strike.DieBefore})
//	… have the process do its work …
//	calls, err := t.LetGo()
//
// A tracer is a thread, and the kernel lets go what it traced when it ends: whatever
// happens here, the process is not left stopped.
package strike

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A Call is a system call that changes something outside of the process.
type Call struct {
	N     int        // 1 is the first since Seize, in the order in which they were entered
	Name  string     // as in syscalls(2)
	Path  string     // of what it changes, "old -> new" if it has two; empty if it has none
	Errno unix.Errno // what it failed with
	Done  bool       // it returned
	Lasts bool       // what it does outlives the process, if it succeeds
}

func (c Call) String() string {
	s := fmt.Sprintf("%d: %s(%s)", c.N, c.Name, c.Path)
	switch {
	case !c.Done:
		return s + " is not done"
	case c.Errno != 0:
		return s + ": " + c.Errno.Error()
	}
	return s
}

// A Deed is what happens at a call.
type Deed int

// What can happen. The zero value is nothing.
const (
	None      Deed = iota
	DieBefore      // the process is killed, and the call has no effect
	DieAfter       // the call is carried out, and the process killed before it hears of that
	Fail           // the call has no effect, and returns Errno
	FailOn         // as Fail, and so do all later calls that match
)

// A Blow says what happens to a process, and when. The zero value only counts.
type Blow struct {
	// Of says which calls matter; nil is all. It is asked before the call, and with
	// DieAfter after it.
	Of    func(Call) bool
	At    int // the nth of them is struck; 1 is the first
	Deed  Deed
	Errno unix.Errno // of Fail and FailOn
	// Meanwhile runs while the thread that is to be struck stands before the call. The
	// others go on.
	Meanwhile func(Call)
	// Bound kills the process should this one end while it traces.
	Bound bool
}

// A Trace is a process under observation.
type Trace struct {
	pid  int
	blow Blow
	mem  *os.File

	leave   chan struct{} // closed by LetGo
	done    chan struct{} // closed when nothing is traced any more
	leaving bool

	// Of the tracer's thread until done.
	threads map[int]bool
	inside  map[int]int // by thread, the index of the call that it is in
	calls   []Call
	matched int
	struck  map[int]bool // by index of the call
	err     error

	once sync.Once
}

// Seize observes all threads of a process, which goes on. It must not be a child of
// the caller: its end could be heard only once.
func Seize(pid int, b Blow) (*Trace, error) {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("seize process: %w", err)
	}
	t := &Trace{
		pid: pid, blow: b, mem: mem, leave: make(chan struct{}), done: make(chan struct{}),
		threads: map[int]bool{}, inside: map[int]int{}, struck: map[int]bool{},
	}
	ready := make(chan error)
	go t.thread(ready)
	if err := <-ready; err != nil {
		<-t.done
		return nil, fmt.Errorf("seize process %d: %w", pid, err)
	}
	return t, nil
}

// LetGo ends the observation, and returns what was seen.
func (t *Trace) LetGo() ([]Call, error) {
	t.once.Do(func() {
		close(t.leave)
		// A signal that is ignored wakes the tracer all the same.
		_ = unix.Kill(t.pid, unix.SIGURG)
	})
	return t.Wait()
}

// Wait returns what was seen when the process has ended.
func (t *Trace) Wait() ([]Call, error) {
	<-t.done
	return t.calls, t.err
}

// thread is the tracer. It is never unlocked, so that its end is the end of the
// operating system's thread, too, and of the trace. The first thread of a process
// has no such end, and one that has started programs would take their ends for those of
// what it traces: another does the work while these are held.
func (t *Trace) thread(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() || hasChildren() {
		defer runtime.UnlockOSThread()
		again := make(chan struct{})
		go func() { defer close(again); t.thread(ready) }()
		<-again
		return
	}
	defer close(t.done)
	defer func() { _ = t.mem.Close() }()
	err := t.seizeAll()
	if err != nil {
		t.leaving = true
	}
	ready <- err
	t.loop()
}

// hasChildren reports whether this thread has started programs whose end nobody heard of.
func hasChildren() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, nil)
	return !errors.Is(err, unix.ECHILD)
}

const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE

// seizeAll seizes until there is no thread that is not: those that a seized one starts
// are by birth.
func (t *Trace) seizeAll() error {
	opts := options
	if t.blow.Bound {
		opts |= unix.PTRACE_O_EXITKILL
	}
	for found := true; found; {
		found = false
		dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", t.pid))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			tid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || t.threads[tid] {
				continue
			}
			if err := ptrace(unix.PTRACE_SEIZE, tid, uintptr(opts)); err != nil {
				if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPERM) && t.traced(tid) {
					continue // it has ended; it is one by birth
				}
				return err
			}
			t.threads[tid], found = true, true
			if err := ptrace(unix.PTRACE_INTERRUPT, tid, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	if len(t.threads) == 0 {
		return unix.ESRCH
	}
	return nil
}

// traced reports whether a thread is traced by this one.
func (t *Trace) traced(tid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", t.pid, tid))
	return err != nil || slices.Contains(fields(b, "TracerPid:"), strconv.Itoa(unix.Gettid()))
}

// loop handles one stop after the other, until nothing is traced.
func (t *Trace) loop() {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil { // ECHILD: no tracee is left
			return
		}
		if !ws.Stopped() {
			delete(t.threads, tid)
			continue
		}
		select {
		case <-t.leave:
			t.letAllGo()
		default:
		}
		t.stopped(tid, ws)
	}
}

// letAllGo has every thread stop, as only what is stopped can be let go.
func (t *Trace) letAllGo() {
	if t.leaving {
		return
	}
	t.leaving = true
	for tid := range t.threads {
		_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0) // ESRCH: it has ended, or stands already
	}
}

func (t *Trace) stopped(tid int, ws unix.WaitStatus) {
	if !t.threads[tid] {
		if !t.own(tid) {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0)
			return
		}
		t.threads[tid] = true
	}
	sig, event := ws.StopSignal(), int(ws)>>16
	switch {
	case sig == unix.SIGTRAP|0x80:
		t.call(tid)
		t.resume(tid, 0)
	case event == unix.PTRACE_EVENT_STOP && sig != unix.SIGTRAP && !t.leaving:
		_ = ptrace(unix.PTRACE_LISTEN, tid, 0) // somebody stopped the process: so it stays
	case event != 0:
		t.resume(tid, 0)
	default:
		t.resume(tid, sig)
	}
}

// own reports whether a task is a thread of the process, and not a child of it.
func (t *Trace) own(tid int) bool {
	_, err := os.Lstat(fmt.Sprintf("/proc/%d/task/%d", t.pid, tid))
	return err == nil
}

// resume lets a thread go on until its next call, or for ever.
func (t *Trace) resume(tid int, sig unix.Signal) {
	how := unix.PTRACE_SYSCALL
	if t.leaving {
		how = unix.PTRACE_DETACH
		delete(t.threads, tid)
	}
	_ = ptrace(how, tid, uintptr(sig)) // ESRCH: it was killed
}

// call handles a stop at the entry or the exit of a call.
func (t *Trace) call(tid int) {
	i, err := infoOf(tid)
	if err != nil {
		return // it was killed
	}
	switch i.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		t.entry(tid, i)
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		t.exit(tid, i)
	}
}

func (t *Trace) entry(tid int, i info) {
	if _, again := t.inside[tid]; again {
		return // the kernel begins a call anew that a signal interrupted
	}
	c, ok := task{t.pid, tid, t.mem}.decode(i.nr(), i.args())
	if !ok {
		return
	}
	c.N = len(t.calls) + 1
	t.inside[tid] = len(t.calls)
	t.calls = append(t.calls, c)
	if t.blow.Deed == DieAfter || !t.hits(c) {
		return
	}
	t.struck[c.N-1] = true
	if t.blow.Meanwhile != nil {
		t.aside(c)
	}
	if t.blow.Deed == DieBefore {
		t.kill()
	}
	if t.blow.Deed != None {
		t.fail(skip(tid))
	}
}

// hits counts the calls that match, and reports whether this one is struck.
func (t *Trace) hits(c Call) bool {
	if t.blow.Of != nil && !t.blow.Of(c) {
		return false
	}
	t.matched++
	return t.matched == t.blow.At || t.blow.Deed == FailOn && t.blow.At > 0 && t.matched > t.blow.At
}

// aside runs Meanwhile on another thread: if it starts a process, the tracer's would
// hear of its end.
func (t *Trace) aside(c Call) {
	done := make(chan struct{})
	go func() { defer close(done); t.blow.Meanwhile(c) }()
	<-done
}

func (t *Trace) exit(tid int, i info) {
	at, ok := t.inside[tid]
	if !ok || i.restarts() {
		return
	}
	delete(t.inside, tid)
	c := &t.calls[at]
	c.Done, c.Errno = true, i.errno()
	switch {
	case t.blow.Deed == DieAfter && t.hits(*c):
		t.kill()
	case !t.struck[at] || t.blow.Deed == None:
	case t.blow.Deed == DieBefore:
		c.Done, c.Errno = false, 0
	default:
		c.Errno = t.blow.Errno
		t.fail(give(tid, -int64(t.blow.Errno)))
	}
}

func (t *Trace) kill() { t.fail(unix.Kill(t.pid, unix.SIGKILL)) }

// fail keeps the first error of what must not fail. That the process has ended is none.
func (t *Trace) fail(err error) {
	if t.err == nil && !errors.Is(err, unix.ESRCH) {
		t.err = err
	}
}
