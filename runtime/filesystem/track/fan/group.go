//go:build linux

// Package fan reads fanotify(7): what the kernel tells about the use of files.
//
// A group of files tells of mounts, whoever uses a file through one, and gives a
// descriptor with each event, whose path is the kernel's own. A group of names tells what
// is created, deleted and renamed, of folders or of whole file systems, through whichever
// mount: mounts don't know of that. Neither lets anybody wait for us: a reader that is
// too slow misses events, and is told so. Their queues are bounded by the host's
// fs.fanotify.max_queued_events. A gate is asked before a file is opened, and who opens it
// waits for the answer.
package fan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Group is one queue. One goroutine at a time may use it.
type Group struct {
	fd  int
	buf []byte
}

// Masks of what marks ask for.
const (
	Writes   = unix.FAN_CLOSE_WRITE   // a file that could be written was closed
	Reads    = unix.FAN_CLOSE_NOWRITE // one that could only be read was
	Executes = unix.FAN_OPEN_EXEC     // a program was opened to be executed
	arrivals = unix.FAN_CREATE | unix.FAN_RENAME | unix.FAN_ONDIR
	names    = unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_RENAME | unix.FAN_ONDIR
)

// openedWith are the flags of descriptors that come with events. What is at the other end
// of a FIFO, or holds a lease, must not keep us waiting.
const openedWith = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_LARGEFILE

// Each event of files comes with a descriptor, each of names with a pidfd: what is read at
// once bounds how many of them are open.
const (
	filesBuffer = 128 * metadataLen
	namesBuffer = 32 << 10
)

// OpenFiles makes a group of files.
func OpenFiles() (*Group, error) {
	const flags = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK
	fd, err := unix.FanotifyInit(flags|unix.FAN_REPORT_FD_ERROR, openedWith) // else a file that can't be opened is lost without a word
	if errors.Is(err, unix.EINVAL) {                                         // before Linux 6.13
		fd, err = unix.FanotifyInit(flags, openedWith)
	}
	return group(fd, err, filesBuffer)
}

// OpenGate makes a group that the kernel asks before a file is opened. Whoever opens one waits
// for the Answer: without a reader that is quick, and ends, everybody would hang.
func OpenGate() (*Group, error) {
	const flags = unix.FAN_CLASS_CONTENT | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_UNLIMITED_MARKS
	fd, err := unix.FanotifyInit(flags, openedWith)
	return group(fd, err, filesBuffer)
}

// Opens is what a mark of a gate asks for: files and folders that are opened.
const Opens = unix.FAN_OPEN_PERM | unix.FAN_ONDIR

// Answer lets an event of a gate go on, or fail with EPERM.
func (g *Group) Answer(e Event, allow bool) error {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:], uint32(e.FD))
	binary.NativeEndian.PutUint32(b[4:], unix.FAN_DENY)
	if allow {
		binary.NativeEndian.PutUint32(b[4:], unix.FAN_ALLOW)
	}
	if _, err := unix.Write(g.fd, b[:]); err != nil {
		return fmt.Errorf("answer fanotify: %w", err)
	}
	return nil
}

// Pass lets the kernel ask no more about the file of an event, by whichever name it is opened,
// until it forgets that for want of memory.
func (g *Group) Pass(e Event) error {
	const flags = unix.FAN_MARK_ADD | unix.FAN_MARK_IGNORE_SURV | unix.FAN_MARK_EVICTABLE
	if err := unix.FanotifyMark(g.fd, flags, unix.FAN_OPEN_PERM, unix.AT_FDCWD, pathOfFD(e.FD)); err != nil {
		return fmt.Errorf("pass a file: %w", err)
	}
	return nil
}

// Release ends the group under whoever uses it, who reads and writes nothing from then on.
// The kernel lets go on all that waits.
func (g *Group) Release() error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("release fanotify: %w", err)
	}
	defer func() { _ = unix.Close(null) }()
	if err := unix.Dup3(null, g.fd, unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("release fanotify: %w", err)
	}
	return nil
}

// OpenNames makes a group of names. It takes Linux 5.17.
func OpenNames() (*Group, error) {
	const flags = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_UNLIMITED_MARKS |
		unix.FAN_REPORT_DFID_NAME_TARGET | unix.FAN_REPORT_PIDFD
	fd, err := unix.FanotifyInit(flags, openedWith)
	return group(fd, err, namesBuffer)
}

func group(fd int, err error, buffer int) (*Group, error) {
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("open fanotify: %w: too many descriptors, or more groups than the host allows root: see sysctl fs.fanotify.max_user_groups", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open fanotify: %w", err)
	}
	return &Group{fd, make([]byte, buffer)}, nil
}

// FD is what to poll for POLLIN.
func (g *Group) FD() int32 { return int32(g.fd) }

// Close ends the group with all its marks.
func (g *Group) Close() error { return unix.Close(g.fd) }

// MarkMount asks for events of the mount that f lies on.
func (g *Group) MarkMount(f *os.File, mask uint64) error {
	return g.mark(f, unix.FAN_MARK_MOUNT, mask)
}

// MarkNames asks for what becomes of the names in the folder f.
func (g *Group) MarkNames(f *os.File) error { return g.mark(f, unix.FAN_MARK_ONLYDIR, names) }

// MarkArrivals asks for the names that come to be in the folder f, and those that leave it
// by a rename.
func (g *Group) MarkArrivals(f *os.File) error {
	return g.mark(f, unix.FAN_MARK_ONLYDIR, arrivals)
}

// MarkAllNames asks for what becomes of all names of the file system that f lies on.
func (g *Group) MarkAllNames(f *os.File) error { return g.mark(f, unix.FAN_MARK_FILESYSTEM, names) }

// mark takes descriptors that were made with O_PATH, too.
func (g *Group) mark(f *os.File, flags uint, mask uint64) error {
	if err := unix.FanotifyMark(g.fd, unix.FAN_MARK_ADD|flags, mask, unix.AT_FDCWD, pathOf(f)); err != nil {
		return fmt.Errorf("watch %s: %w", f.Name(), err)
	}
	return nil
}

func pathOf(f *os.File) string { return pathOfFD(int(f.Fd())) }

func pathOfFD(fd int) string { return "/proc/thread-self/fd/" + strconv.Itoa(fd) }

// Read returns the next events, or none if there are none now. The caller closes the
// descriptors in them. An error of one event doesn't end the group.
func (g *Group) Read() ([]Event, error) {
	for {
		n, err := unix.Read(g.fd, g.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read fanotify: %w", err)
		}
		return Decode(g.buf[:n])
	}
}

// Close closes what came with an event.
func (e Event) Close() {
	if e.FD >= 0 {
		_ = unix.Close(e.FD)
	}
	if e.PIDFD >= 0 {
		_ = unix.Close(e.PIDFD)
	}
}

// HandleOf is the handle that events name the folder f by.
func HandleOf(f *os.File) (Handle, error) { return handleOf(int(f.Fd())) }

// Handle is that of the file of an event that came with a descriptor.
func (e Event) Handle() (Handle, error) { return handleOf(e.FD) }

func handleOf(fd int) (Handle, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return Handle{}, fmt.Errorf("find handle: %w", err)
	}
	h, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return Handle{}, fmt.Errorf("find handle: %w", err)
	}
	return Handle{FS: FSOf(st), Type: h.Type(), ID: string(h.Bytes())}, nil
}

// Open opens what the handle names on the mount that m lies on, which must not have been
// opened with O_PATH, as a place and not to be read. ESTALE is one that is gone.
func (h Handle) Open(m *os.File) (*os.File, error) {
	fd, err := unix.OpenByHandleAt(int(m.Fd()), unix.NewFileHandle(h.Type, []byte(h.ID)), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open by handle: %w", err)
	}
	return os.NewFile(uintptr(fd), "handle"), nil
}

// FSOf is the file system as a Handle names it.
func FSOf(st unix.Statfs_t) (fs [8]byte) {
	binary.NativeEndian.PutUint32(fs[:], uint32(st.Fsid.Val[0]))
	binary.NativeEndian.PutUint32(fs[4:], uint32(st.Fsid.Val[1]))
	return fs
}

// Mounts are the masks of the mounts that are marked, by ID, as the kernel says:
// proc_pid_fdinfo(5).
func (g *Group) Mounts() (map[uint64]uint64, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(g.fd))
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	all := map[uint64]uint64{}
	for line := range strings.Lines(string(b)) {
		var id, mflags, mask uint64
		if n, _ := fmt.Sscanf(line, "fanotify mnt_id:%x mflags:%x mask:%x", &id, &mflags, &mask); n == 3 {
			all[id] = mask
		}
	}
	return all, nil
}
