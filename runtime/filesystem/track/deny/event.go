//go:build linux

package deny

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// An Op is what was tried.
type Op uint32

// What the programs tell of.
const (
	Open Op = iota + 1 // also to execute, and to list a folder
	Unlink
	Rmdir
	Mkdir
	Mknod
	Symlink
	Link
	Rename
)

// An Event is an access that the kernel refused.
type Event struct {
	Op      Op
	Errno   unix.Errno
	PID     int // as the sandbox counts
	HostPID int // as we count
	UID     uint32
	Command string // comm
	Mode    uint32 // of Open: how; see linux/fs.h, MAY_EXEC and those beside it
	Flags   uint32 // likewise, of open(2)

	// As it was asked for, made absolute: symbolic links in it are not followed. "" is not
	// known, where it lies too deep or its folder is mounted nowhere.
	Path, To string
}

// MAY_EXEC and those beside it, of linux/fs.h.
const (
	mayExec  = 1
	mayWrite = 2
)

// fmodeExec is FMODE_EXEC of linux/fs.h: a program is to be executed.
const fmodeExec = 0x20

// Executes reports whether an open was to execute a program.
func (e Event) Executes() bool { return e.Op == Open && e.Flags&fmodeExec != 0 && e.Mode&mayExec != 0 }

// Writes reports whether an open was to write.
func (e Event) Writes() bool { return e.Op == Open && e.Mode&mayWrite != 0 }

var errMalformed = errors.New("malformed event of a refusal")

// decode reads what the programs write.
func decode(b []byte) (Event, error) {
	if len(b) < headLen {
		return Event{}, errMalformed
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	e := Event{
		Op: Op(u32(atOp)), Errno: unix.Errno(u32(atErrno)), PID: int(u32(atPID)), HostPID: int(u32(atHostPID)),
		UID: u32(atUID), Mode: u32(atMode), Flags: u32(atFlags), Command: text(b[atCommand : atCommand+16]),
	}
	rest := b[headLen:]
	for i, to := range []*string{&e.Path, &e.To} {
		at := atPaths + i*pathLen
		n, folders := int(u32(at)), int(u32(at+4))
		if n+folders > len(rest) || n < 0 || folders < 0 {
			return Event{}, errMalformed
		}
		*to = absolute(text(rest[:n]), rest[n:n+folders], u32(at+8) == 1)
		rest = rest[n+folders:]
	}
	return e, nil
}

// absolute is a path made so by the names of its folders, the innermost first.
func absolute(p string, folders []byte, all bool) string {
	if path.IsAbs(p) || p == "" && len(folders) == 0 {
		return path.Clean("/" + p)[min(1, max(0, 1-len(p))):]
	}
	if !all {
		return ""
	}
	names := bytes.Split(bytes.TrimSuffix(folders, []byte{0}), []byte{0})
	slices.Reverse(names)
	return path.Clean("/" + string(bytes.Join(names, []byte{'/'})) + "/" + p)
}

// text is what comes before the first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
