//go:build linux

package track

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/track/deny"
	"blast.example/blast/runtime/filesystem/track/fan"
	"blast.example/blast/runtime/sandbox"
)

// A watch tells a book what goes on in one running sandbox.
type watch struct {
	book   *book
	log    *slog.Logger
	marks  *marks
	people *people

	refusals *deny.Ring      // nil: the host can't tell
	tree     filesystem.Tree // why something is refused

	init      *os.File  // pidfd of the sandbox's init
	table     *os.File  // its mount table
	since     time.Time // the last turn
	used      []use     // since then, and to be told of
	looked    time.Time // at the mount table
	unsettled int       // how often it is to be looked at again soon

	busy  int                  // turns without a pause
	ended bool                 // the sandbox has, and its mounts go with it
	told  map[string]time.Time // gaps of a kind, and when they were told last

	working sync.Mutex // held during a turn: the marks and the tree are the turn's

	bell, rung *os.File // a pipe: who rings has the watch look at once
	done       chan struct{}
	mu         sync.Mutex
	asked      []chan struct{} // closed after the next turn
	ending     bool
}

// beat is how often a watch says that it is there.
const beat = 2 * time.Second

// newWatch begins to watch a sandbox. When it returns all is watched that is there.
func newWatch(b *book, t filesystem.Track, tree filesystem.Tree, s *sandbox.Sandbox, tap *deny.Tap, log *slog.Logger) (*watch, error) {
	w := &watch{book: b, tree: tree, log: log.With("sandbox", s.ID), since: time.Now(), told: map[string]time.Time{}, done: make(chan struct{})}
	if err := w.open(t, tree, s); err != nil {
		w.close()
		return nil, err
	}
	if err := w.marks.look(); err != nil {
		w.close()
		return nil, fmt.Errorf("track files: %w", err)
	}
	w.heed(tap)
	w.tellBlind()
	go w.run()
	return w, nil
}

func (w *watch) open(t filesystem.Track, tree filesystem.Tree, s *sandbox.Sandbox) error {
	fd, err := unix.PidfdOpen(s.PID(), 0)
	if err != nil {
		return sandbox.ErrEnded
	}
	w.init = os.NewFile(uintptr(fd), "pidfd")
	if w.table, err = os.Open("/proc/" + strconv.Itoa(s.PID()) + "/mountinfo"); err != nil {
		return sandbox.ErrEnded
	}
	if w.people, err = peopleOf(s.PID()); err != nil {
		return sandbox.ErrEnded
	}
	if w.marks, err = newMarks(t, tree, s.PID()); err != nil {
		return err
	}
	if w.rung, w.bell, err = os.Pipe(); err != nil {
		return err
	}
	p, err := s.Proc() // all of it is of that very process
	if err != nil {
		return err
	}
	return p.Close()
}

// close frees what the watch has; it must not run any more.
func (w *watch) close() {
	if w.marks != nil {
		w.marks.close()
	}
	if w.refusals != nil {
		w.refusals.Close()
	}
	for _, f := range []*os.File{w.init, w.table, w.bell, w.rung} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// end stops the watch when all that happened until now is on record.
func (w *watch) end() {
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	_, _ = w.bell.Write([]byte{0})
	<-w.done
	w.close()
}

// flush returns when all that happened before the call is on record.
func (w *watch) flush(ctx context.Context) error {
	looked := make(chan struct{})
	w.mu.Lock()
	w.asked = append(w.asked, looked)
	w.mu.Unlock()
	_, _ = w.bell.Write([]byte{0})
	select {
	case <-looked:
	case <-w.done:
	case <-ctx.Done():
		return fmt.Errorf("note accesses: %w", ctx.Err())
	}
	return nil
}

// over reports whether the sandbox has ended, and all that it did is on record.
func (w *watch) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// unwatched are the places that should be watched and are not.
func (w *watch) unwatched() ([]string, error) {
	w.working.Lock()
	defer w.working.Unlock()
	return w.marks.unwatched()
}

func (w *watch) run() {
	defer close(w.done)
	var ended time.Time // the last turn
	for {
		fds := []unix.PollFd{
			{Fd: int32(w.rung.Fd()), Events: unix.POLLIN},
			{Fd: int32(w.init.Fd()), Events: unix.POLLIN},
			{Fd: int32(w.table.Fd()), Events: unix.POLLPRI},
			{Fd: w.marks.files.FD(), Events: unix.POLLIN},
			{Fd: w.marks.names.FD(), Events: unix.POLLIN},
		}
		if w.refusals != nil {
			fds = append(fds, unix.PollFd{Fd: w.refusals.FD(), Events: unix.POLLIN})
		}
		wait := beat
		if w.unsettled > 0 {
			wait = settling
		}
		if len(w.used) > 0 {
			wait = 0
		}
		if _, err := unix.Poll(fds, int(wait.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
			w.log.Error("track files", "err", err)
			return
		}
		begun := time.Now()
		if w.busy++; begun.Sub(ended) > flurry {
			w.busy = 0
		}
		if end := w.turn(fds); end {
			return
		}
		w.book.beat()
		w.rest(time.Since(begun))
		ended = time.Now()
	}
}

// rest lets as much time pass as a turn took: who makes events without end gets half of a
// processor at most. In a flurry it is a little at the least, so that many events are
// read in one turn, which takes hardly longer than one; but who ends soon is looked at
// before that. What comes meanwhile waits in the queue, where equal events become one, or
// makes it overflow.
func (w *watch) rest(took time.Duration) {
	took = min(took, maxRest)
	if w.busy > flurryTurns {
		took = max(took, minRest)
	}
	fds := []unix.PollFd{{Fd: int32(w.rung.Fd()), Events: unix.POLLIN}}
	_, _ = unix.Poll(fds, int(took.Milliseconds()))
}

// Bounds of how long what happened may wait, and what a flurry is: so many turns without
// a pause between them.
const (
	minRest     = 3 * time.Millisecond
	maxRest     = 50 * time.Millisecond
	flurry      = 5 * time.Millisecond
	flurryTurns = 20
)

// turn notes all that there is, and reports whether to end.
func (w *watch) turn(fds []unix.PollFd) (end bool) {
	over := fds[1].Revents != 0
	if fds[0].Revents != 0 {
		_, _ = w.rung.Read(make([]byte, 64))
	}
	w.mu.Lock()
	asked := w.asked
	w.asked, end = nil, w.ending || over
	w.mu.Unlock()
	w.working.Lock()
	defer w.working.Unlock()
	if !over {
		w.look(fds[2].Revents != 0, len(asked) > 0)
	}
	w.ended = over
	w.readRefusals()
	w.note(over, end || len(asked) > 0)
	w.marks.sweep()
	w.tellBlind()
	for _, looked := range asked {
		close(looked)
	}
	return end
}

// settling is how long after a change of the mount table it is looked at again, so many
// times: of what a file loses and gets back at once the kernel has told only the first.
const (
	settling = 10 * time.Millisecond
	settles  = 5
)

// look watches what is mounted: when the kernel tells of a change, somebody wants to be
// sure, or it is time.
func (w *watch) look(changed, asked bool) {
	since := time.Since(w.looked)
	switch {
	case changed:
		w.unsettled = settles
	case asked || since >= beat:
	case w.unsettled > 0 && since >= settling:
		w.unsettled--
	default:
		return
	}
	w.looked = time.Now()
	if err := w.marks.look(); err != nil {
		w.gap(access.Gap{Reason: "not all mounts can be watched: " + err.Error()})
	}
}

// maxNoted bounds how many events of each queue a turn takes, beyond what the host lets
// wait there: else a sandbox that makes them without end would keep it from ending.
const maxNoted = 100_000

// note empties both queues. Names and files are told of in different ones, and which came
// first is not said. So:
//
//	files  what is read here comes after the names that it needs, which are read next
//	names  what is read here comes after the programs that did it, which are read next
//	files  what is read here waits for the next turn, unless it is the last one
//
// Names that are created are told of first, then files, then what else becomes of names.
func (w *watch) note(over, last bool) {
	now := time.Now()
	b := newBatch(w.marks, over)
	defer b.close()
	lost := w.readFiles()
	used := w.used
	w.used = nil
	lostNames := w.readNames(b)
	lost += w.readFiles()
	if last {
		used, w.used = append(used, w.used...), nil
	}
	early := w.early(b)
	for _, n := range b.events[:early] {
		w.name(b, n)
	}
	for _, u := range used {
		w.add(u.Access, u.where)
	}
	for _, n := range b.events[early:] {
		w.name(b, n)
	}
	if lostNames > 0 {
		w.overflow(now, lostNames, w.mostlyOurs(b), filesystem.Create, filesystem.Delete, filesystem.Rename)
	}
	if lost > 0 { // nobody else comes through these mounts
		w.overflow(now, lost, true, filesystem.Write, filesystem.Read, filesystem.Execute)
	}
	w.since = now
}

// use is an access to a file that is not told of yet.
type use struct {
	access.Access
	where place
}

// early is how many of the first events create names of processes that are known: the
// files are used after that, and the others may have been used before.
func (w *watch) early(b *batch) int {
	for i, n := range b.events {
		if n.Mask&(unix.FAN_DELETE|unix.FAN_RENAME) != 0 || n.where == gone {
			return i
		}
	}
	return len(b.events)
}

func (w *watch) readNames(b *batch) (lost uint64) {
	for range maxNoted {
		es, err := w.marks.names.Read()
		w.failing(err)
		if len(es) == 0 {
			return lost
		}
		now := time.Now()
		for _, e := range es {
			if e.Overflow() {
				lost++
				continue
			}
			who, where := w.people.lookBy(e.PID, e.PIDFD, now)
			e.Close()
			b.add(named{e, who, where, now})
		}
		if len(b.events) > maxNoted {
			break
		}
	}
	return lost
}

// failing notes what keeps events from being read.
func (w *watch) failing(err error) {
	if err != nil {
		w.gap(access.Gap{Reason: err.Error()})
	}
}

// mostlyOurs reports whether most that was done was done in the sandbox.
func (w *watch) mostlyOurs(b *batch) bool {
	ours := 0
	for _, n := range b.events {
		if n.where != outside {
			ours++
		}
	}
	return 2*ours >= len(b.events)
}

// name notes an event of names.
func (w *watch) name(b *batch, n named) {
	if n.where == gone { // perhaps it is known by what it executed
		n.who, n.where = w.people.look(n.PID, n.at)
	}
	err := b.follow(n, func(p string, dir bool) {
		w.add(access.Access{Time: n.at, Op: filesystem.Create, Path: p, Folder: dir, Found: true, Process: n.who}, n.where)
	})
	if err != nil {
		w.gap(access.Gap{Reason: "a new folder can't be watched: " + err.Error()})
	}
	for _, x := range b.accesses(n) {
		w.add(x, n.where)
	}
}

// add notes an access, if it is the sandbox's and at a place that is tracked. Of a process
// that is gone nobody knows; it counts as the sandbox's, or one that is quick enough
// could do what it likes.
func (w *watch) add(x access.Access, where place) {
	if where == outside || !w.marks.wanted(x.Path) && (x.To == "" || !w.marks.wanted(x.To)) {
		return
	}
	w.book.add(x)
}

func (w *watch) readFiles() (lost uint64) {
	for n := 0; n < maxNoted; {
		es, err := w.marks.files.Read()
		w.failing(err)
		if len(es) == 0 {
			break
		}
		n += len(es)
		now := time.Now()
		for _, e := range es {
			if e.Overflow() {
				lost++
				continue
			}
			w.file(e, now)
			e.Close()
		}
	}
	return lost
}

// file notes an event of a file.
func (w *watch) file(e fan.Event, now time.Time) {
	p, size, err := w.pathOf(e.FD)
	if err != nil {
		w.gap(access.Gap{Reason: "a file that was used can't be looked at: " + err.Error()})
		return
	}
	if e.PID == os.Getpid() {
		return
	}
	if e.Mask&fan.Executes != 0 {
		w.people.executes(e.PID, p, now)
	}
	if !w.marks.wanted(p) {
		return
	}
	who, where := w.people.look(e.PID, now)
	for _, o := range []struct {
		mask uint64
		op   string
		all  bool
	}{{fan.Executes, filesystem.Execute, true}, {fan.Reads, filesystem.Read, true}, {fan.Writes, filesystem.Write, false}} {
		if e.Mask&o.mask != 0 && (!o.all || w.marks.track.Level == filesystem.All) {
			w.used = append(w.used, use{access.Access{Time: now, Op: o.op, Path: p, Size: size, Process: who}, where})
		}
	}
}

const deleted = " (deleted)"

// pathOf is where a file is in the sandbox, as the kernel says, and its size in bytes.
func (w *watch) pathOf(fd int) (string, int64, error) {
	if fd < 0 {
		return "", 0, unix.Errno(-fd)
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_SIZE|unix.STATX_NLINK|unix.STATX_MNT_ID, &st); err != nil {
		return "", 0, err
	}
	p, err := os.Readlink(linkOf(fd))
	if err != nil {
		return "", 0, err
	}
	if st.Nlink == 0 { // else the name may end so
		p = strings.TrimSuffix(p, deleted)
	}
	m := w.marks.mounts[st.Mnt_id]
	if m != nil && w.ended && !m.gone && !w.marks.attached(m) {
		m.gone = true
		return w.pathOf(fd) // the path may have been read before or after that
	}
	if m != nil && m.gone {
		p = path.Join(m.Point, p)
	}
	return p, int64(min(st.Size, 1<<62)), nil
}

// overflow notes that the kernel lost events.
func (w *watch) overflow(now time.Time, lost uint64, own bool, events ...string) {
	w.log.Warn("the kernel lost events of files", "times", lost)
	w.book.gap(access.Gap{From: w.since, To: now, Lost: lost, Reason: "too much at once: the kernel's queue was full, and what was done is not known in full"}, own, events...)
}

// gap notes that something isn't seen: at the same place for the same reason once a
// minute.
func (w *watch) gap(g access.Gap) {
	now, key := time.Now(), g.Path+g.Reason
	if now.Sub(w.told[key]) < time.Minute {
		return
	}
	if len(w.told) > 100 {
		clear(w.told)
	}
	w.told[key] = now
	g.From = now
	w.book.gap(g, false)
}

// tellBlind notes the places that can't be watched.
func (w *watch) tellBlind() {
	for _, d := range w.marks.blind {
		w.gap(access.Gap{Path: d.path, Reason: d.reason})
	}
	w.marks.blind = nil
	w.book.watched(len(w.marks.folders))
}
