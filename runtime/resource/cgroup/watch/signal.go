package watch

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/resource/usage"
)

// signals says when the kernel has something to tell about limits, until ctx ends. What
// it doesn't tell here is found by looking.
func signals(ctx context.Context, g usage.Groups) <-chan struct{} {
	events := make(chan struct{}, 1)
	for _, f := range []*os.File{changes(g), outOfMemory(g)} {
		if f == nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		go func() {
			defer stop()
			defer func() { _ = f.Close() }()
			b := make([]byte, 4096)
			for {
				n, err := f.Read(b)
				if err != nil || over(b[:n]) {
					return
				}
				select {
				case events <- struct{}{}:
				default: // one is waiting to be seen
				}
			}
		}()
	}
	return events
}

// changes is an inotify(7) descriptor of v2's files of events; nil if there are none.
func changes(g usage.Groups) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	n := 0
	for _, path := range []string{filepath.Join(g.Memory, "memory.events"), filepath.Join(g.PIDs, "pids.events")} {
		if !filepath.IsAbs(path) {
			continue
		}
		if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err == nil {
			n++
		}
	}
	if n == 0 {
		_ = unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}

// over reports whether what inotify told is that there is nothing left to tell of. An
// eventfd has eight bytes, which is less than any event.
func over(b []byte) bool {
	return len(b) >= unix.SizeofInotifyEvent && binary.NativeEndian.Uint32(b[4:])&unix.IN_IGNORED != 0 && len(b) == unix.SizeofInotifyEvent
}

// outOfMemory is an eventfd(2) that v1 signals when the group is out of memory; nil on
// v2. See "10. OOM Control" of the kernel's document on the memory controller of v1.
func outOfMemory(g usage.Groups) *os.File {
	control, err := os.Open(filepath.Join(g.Memory, "memory.oom_control"))
	if err != nil || g.Memory == "" {
		return nil
	}
	defer func() { _ = control.Close() }() // the kernel has its own reference
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil
	}
	to, err := unix.Open(filepath.Join(g.Memory, "cgroup.event_control"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(to, fmt.Appendf(nil, "%d %d", fd, control.Fd()))
		_ = unix.Close(to)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "eventfd")
}
