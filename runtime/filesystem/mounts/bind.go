//go:build linux

package mounts

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/state"
)

// closedTypes are file systems of the kernel's, wherever they are mounted.
var closedTypes = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.NSFS_MAGIC,
}

// openSource opens what a bind shows, once and without following links, and
// checks again what the words checked when they were read: whoever may write in
// the path could have changed it since. The path is not looked at again.
func openSource(env state.Env, m filesystem.Mount) (*os.File, error) {
	src := m.Source
	state := path.Join(env.Project, ".blast")
	refuse := func(why string) error { return fmt.Errorf("source of %s: %s %s", m.Target, src, why) }
	switch {
	case !path.IsAbs(src) || path.Clean(src) != src || src == "/":
		return nil, fmt.Errorf("source of %s: %q is no path below the root in its shortest form", m.Target, src)
	case slices.ContainsFunc(filesystem.Closed(), func(dir string) bool { return within(src, dir) || within(dir, src) }) || within(src, env.Run) || within(env.Run, src):
		return nil, refuse("shows what is the kernel's or Blast's own")
	case slices.ContainsFunc(filesystem.Servants(), func(place string) bool { return within(src, place) || within(place, src) }):
		return nil, refuse("is or holds a place where programs of the host take orders")
	case within(src, state):
		return nil, refuse("holds Blast's own state")
	case m.Target != filesystem.WorkspaceDir && within(env.Project, src):
		return nil, refuse("holds the project, which only the workspace protects")
	}
	f, err := mountns.OpenHost(src)
	if errors.Is(err, unix.ELOOP) {
		return nil, refuse("passes a " + link)
	}
	if err != nil {
		return nil, fmt.Errorf("source of %s: %w", m.Target, err)
	}
	if err := checkSource(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("source of %s: %w", m.Target, err)
	}
	return f, nil
}

const link = "symbolic link: whoever can change it could change what is mounted. Write the path that it leads to, or remove the link"

func checkSource(f *os.File) error {
	st, err := mountns.Stat(f)
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR, unix.S_IFREG:
	case unix.S_IFLNK:
		return fmt.Errorf("%s is a %s", f.Name(), link)
	default:
		return fmt.Errorf("%s is no file or folder", f.Name())
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	if slices.Contains(closedTypes, fs.Type) {
		return fmt.Errorf("%s lies in a file system of the kernel's", f.Name())
	}
	return nil
}

// bind makes a detached mount of a source: that one file system, and its files
// shown as the sandbox's user's where they are the person's.
func (b *box) bind(w want) (*os.File, error) {
	src, err := openSource(b.env, w.Mount)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	o, err := b.options(w)
	if err != nil {
		return nil, err
	}
	owners, err := b.userNS()
	if err != nil {
		return nil, err
	}
	m, err := mountns.Clone(src, mountns.Attr{Set: o &^ unix.MOUNT_ATTR_IDMAP, UserNS: owners})
	if errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("%s: %w", w.Source, errNoIDMap)
	}
	return m, err
}

// errNoIDMap is a file system that can't show its owners as others.
var errNoIDMap = errors.New("its file system can't map owners (mount_setattr(2), MOUNT_ATTR_IDMAP)")
