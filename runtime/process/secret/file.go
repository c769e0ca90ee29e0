//go:build linux

package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo/thread"
	"blast.example/blast/state"
)

// fromFile reads the file as the person. No part of the path may be a symbolic link:
// what is written in blast.hcl is what is read, and who can make a link, such as a
// command in the workspace, can't have another file of the person's read for it.
func (r Reference) fromFile(env state.Env) (string, *MissingError) {
	path := r.File(env.Project)
	var b []byte
	err := as(env.UID, env.GID, func() (err error) {
		b, err = readFile(path)
		return err
	})
	if err == nil {
		return r.text(b)
	}
	m := &MissingError{Reference: r, Why: fmt.Sprintf("%s can't be read: %v", path, err), Fix: "Choose a file that can be read."}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		m.Why, m.Fix = "there is no file "+path, "Make it, or correct the path."
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		m.Why, m.Fix = fmt.Sprintf("%s may not be read by uid %d, on whose behalf blast acts", path, env.UID), "Give them the right to read it, or choose another file."
	case errors.Is(err, unix.ELOOP):
		m.Why, m.Fix = path+" passes a symbolic link: who can change it could have another file read", "Write the path that it leads to."
	case errors.Is(err, errNotRegular):
		m.Why = path + " is not a regular file"
	}
	return "", m
}

var errNotRegular = errors.New("not a regular file")

// readFile reads a regular file, and of a long one too much for a value. It waits for
// no pipe.
func readFile(path string) ([]byte, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	for errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		fd, err = unix.Openat2(unix.AT_FDCWD, path, &how)
	}
	if errors.Is(err, unix.ENXIO) { // a socket, or a device without its driver
		return nil, errNotRegular
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, errNotRegular)
	}
	return io.ReadAll(io.LimitReader(f, MaxValue+3)) // and its newline
}

// as calls f with the person's rights over files: only root has to give up any. It
// does so on a thread of its own, which ends with f. Its ids of the file system are
// set and not all, so that the person may not trace or signal it (credentials(7)).
func as(uid, gid int, f func() error) error {
	if os.Geteuid() != 0 || uid == 0 {
		return f()
	}
	groups := groupsOf(uid, gid)
	return thread.Run(func() error {
		if err := unix.Setgroups(groups); err != nil { // x/sys: of this thread
			return fmt.Errorf("take the groups of uid %d: %w", uid, err)
		}
		for _, id := range []struct {
			set func(int) (int, error)
			to  int
		}{{unix.SetfsgidRetGid, gid}, {unix.SetfsuidRetUid, uid}} {
			if _, err := id.set(id.to); err != nil {
				return fmt.Errorf("act as uid %d: %w", uid, err)
			}
			if now, err := id.set(-1); err != nil || now != id.to { // setfsuid(2) tells of no failure
				return fmt.Errorf("act as uid %d: the kernel doesn't let this process", uid)
			}
		}
		return f()
	})
}

// groupsOf are the person's groups, of which at least the one is known.
func groupsOf(uid, gid int) []int {
	groups := []int{gid}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return groups
	}
	names, err := u.GroupIds()
	if err != nil {
		return groups
	}
	for _, n := range names {
		if id, err := strconv.Atoi(n); err == nil && id != gid {
			groups = append(groups, id)
		}
	}
	return groups
}
