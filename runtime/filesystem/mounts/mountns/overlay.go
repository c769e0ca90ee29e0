//go:build linux

package mountns

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An Overlay describes an overlayfs: what is written lies in Upper, over what Lower
// shows (Documentation/filesystems/overlayfs.rst).
type Overlay struct {
	Source      string     // what the mount table calls it
	Lower       []*os.File // upper ones first
	Upper, Work *os.File   // folders of one mount
	UID, GID    uint32     // to whom belongs what the kernel makes for itself: whiteouts, and what is in Work
}

// options are those of the file system, beside its layers.
//
//	redirect_dir, metacopy=off  who reads the upper layer needs to follow nothing: a renamed
//	             folder of the lower layer is one that was copied (mv does that)
//	index=off    the layers may be other ones next time: a project that was copied,
//	             a layer from a snapshot
//	xino=auto    files have one device number, as tools that stay on one device expect
//
// userxattr is not among them: reading an attribute user.* takes the right to read the folder,
// so one that belongs to another user of the host could not even be found.
// Nor is volatile: what a command has synced is there after a power failure.
var options = [][2]string{{"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}, {"xino", "auto"}}

// Overlay makes a detached overlayfs. Its layers lie in the namespace inside: kernels
// before 6.14 take no detached ones.
func (in *Inside) Overlay(o Overlay, attrs int) (m *os.File, err error) {
	err = in.do(func() error {
		m, err = o.mount(attrs)
		return err
	})
	return m, err
}

// TryOverlay makes an overlay over a detached mount where nobody sees it, and says why it can't be.
func TryOverlay(lower *os.File) (err error) {
	OnOwnThread(func() { err = tryOverlay(lower) })
	return err
}

func tryOverlay(lower *os.File) error {
	const room = "/run" // a folder that every host has; nobody sees what this thread mounts there
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Chdir("/proc"); err != nil {
		return err
	}
	if err := unix.Mount("blast", room, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m"); err != nil {
		return fmt.Errorf("make tmpfs: %w", err)
	}
	open := map[string]*os.File{}
	for _, name := range []string{"lower", "upper", "work"} {
		if err := unix.Mkdir(room+"/"+name, 0o700); err != nil {
			return err
		}
		if name == "lower" {
			if err := unix.MoveMount(int(lower.Fd()), "", unix.AT_FDCWD, room+"/lower", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
				return fmt.Errorf("attach mount: %w", err)
			}
		}
		f, err := os.OpenFile(room+"/"+name, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		open[name] = f
	}
	m, err := Overlay{Source: "blast", Lower: []*os.File{open["lower"]}, Upper: open["upper"], Work: open["work"]}.mount(0)
	if err != nil {
		return err
	}
	return m.Close()
}

// mount needs the host's procfs as the working folder of its thread.
func (o Overlay) mount(attrs int) (*os.File, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make overlay: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	var lower []string
	for _, l := range o.Lower {
		lower = append(lower, byDescriptor(l))
	}
	set := append([][2]string{
		{"source", o.Source}, {"lowerdir", strings.Join(lower, ":")}, {"upperdir", byDescriptor(o.Upper)}, {"workdir", byDescriptor(o.Work)},
	}, options...)
	for _, kv := range set {
		if err := unix.FsconfigSetString(fs, kv[0], kv[1]); err != nil {
			return nil, fmt.Errorf("make overlay: %s=%s: %w", kv[0], kv[1], err)
		}
	}
	if err := as(o.UID, o.GID, func() error { return unix.FsconfigCreate(fs) }); err != nil {
		return nil, fmt.Errorf("make overlay: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("make overlay: %w", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

// byDescriptor leads to what is open, from procfs.
func byDescriptor(f *os.File) string { return "thread-self/fd/" + strconv.Itoa(int(f.Fd())) }

// as runs f with the ids of a user towards files, and all capabilities that this thread
// has: root has no id in a mount that maps owners, and can make nothing there.
func as(uid, gid uint32, f func() error) (err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	was, wasGroup := unix.Geteuid(), unix.Getegid()
	defer func() {
		_ = unix.Setfsuid(was) // gives back what the first one took (capabilities(7))
		_ = unix.Setfsgid(wasGroup)
	}()
	_ = unix.Setfsgid(int(gid))
	_ = unix.Setfsuid(int(uid))
	if err := unix.Capset(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return f()
}

// Refresh lets the file system that f lies on forget what it knows of names that nobody
// uses: it asks the layers again, in which somebody may have changed something.
func Refresh(f *os.File) error {
	fs, err := unix.Fspick(int(f.Fd()), "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("refresh overlay: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return fmt.Errorf("refresh overlay: %w", err)
	}
	return nil
}
