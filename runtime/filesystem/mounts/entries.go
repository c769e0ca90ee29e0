//go:build linux

package mounts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// An entry is a name in a folder.
type entry struct {
	name string
	typ  uint8 // DT_*, see readdir(3)
}

// Layout of struct linux_dirent64; see getdents(2).
const (
	direntLen  = 16 // offset of d_reclen
	direntType = 18
	direntName = 19
)

// readEntries tells each name in a folder that was opened to be read. Not each file system says
// what a name is of: then the file is asked, and never another one.
func readEntries(dir *os.File, each func(entry) error) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(int(dir.Fd()), buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT) || err == nil && n == 0: // it was removed, or that was all
			return nil
		case err != nil:
			return fmt.Errorf("read folder %s: %w", dir.Name(), err)
		}
		if err := decodeEntries(dir, buf[:n], each); err != nil {
			return err
		}
	}
}

func decodeEntries(dir *os.File, b []byte, each func(entry) error) error {
	for len(b) > direntName {
		size := int(binary.NativeEndian.Uint16(b[direntLen:]))
		if size <= direntName || size > len(b) {
			return fmt.Errorf("read folder %s: %w", dir.Name(), unix.EIO)
		}
		name, _, _ := bytes.Cut(b[direntName:size], []byte{0})
		e := entry{string(name), b[direntType]}
		b = b[size:]
		if e.name == "." || e.name == ".." {
			continue
		}
		if e.typ == unix.DT_UNKNOWN {
			if e.typ = typeAt(dir, e.name); e.typ == unix.DT_UNKNOWN {
				continue // it is gone
			}
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

func typeAt(dir *os.File, name string) uint8 {
	var st unix.Stat_t
	if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return unix.DT_UNKNOWN
	}
	return uint8(st.Mode & unix.S_IFMT >> 12)
}
