//go:build linux

package fan

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// An Event is one of fanotify(7).
type Event struct {
	Mask uint64
	PID  int // of the process, as the reader's pid namespace counts; 0: not in there

	// FD is open on the file, of a Group that OpenFiles made; the reader closes it. It is
	// negative if there is none: an errno of the kernel's try to open it, or FAN_NOFD.
	FD int

	// Of a Group that OpenNames made.
	Dir     Handle // folder of Name
	Name    string // what was created or deleted, or renamed from here; "" if that folder isn't watched
	NewDir  Handle // folder of NewName
	NewName string // what was renamed to here; "" if that folder isn't watched
	Object  Handle // what the names are of
	PIDFD   int    // of the process; negative if it had ended. The reader closes it.
}

// Overflow reports whether the kernel lost events, for want of room in the queue.
func (e Event) Overflow() bool { return e.Mask&unix.FAN_Q_OVERFLOW != 0 }

// Folder reports whether a name is that of a folder.
func (e Event) Folder() bool { return e.Mask&unix.FAN_ONDIR != 0 }

// A Handle names a file or folder for as long as it exists; see name_to_handle_at(2).
type Handle struct {
	FS   [8]byte // which file system: f_fsid of statfs(2)
	Type int32
	ID   string // f_handle
}

// Sizes of linux/fanotify.h.
const (
	metadataLen = 24 // struct fanotify_event_metadata
	headerLen   = 4  // struct fanotify_event_info_header
	fsidLen     = 8  // __kernel_fsid_t
	handleLen   = 8  // struct file_handle without f_handle
)

// ErrMalformed is what no kernel of this version of the interface writes.
var ErrMalformed = errors.New("malformed fanotify event")

// Decode reads the events of one read(2) of a group. It is safe for any bytes. With an
// error come the events before it.
func Decode(b []byte) ([]Event, error) {
	var all []Event
	for len(b) > 0 {
		if len(b) < metadataLen {
			return all, ErrMalformed
		}
		size, head := int(binary.NativeEndian.Uint32(b)), int(binary.NativeEndian.Uint16(b[6:]))
		if b[4] != unix.FANOTIFY_METADATA_VERSION || head < metadataLen || size < head || size > len(b) {
			return all, ErrMalformed
		}
		e := Event{
			Mask: binary.NativeEndian.Uint64(b[8:]),
			FD:   int(int32(binary.NativeEndian.Uint32(b[16:]))), PID: int(int32(binary.NativeEndian.Uint32(b[20:]))), PIDFD: unix.FAN_NOPIDFD,
		}
		if err := e.infos(b[head:size]); err != nil {
			return all, err
		}
		all, b = append(all, e), b[size:]
	}
	return all, nil
}

// infos reads what follows the metadata of an event.
func (e *Event) infos(b []byte) error {
	for len(b) > 0 {
		if len(b) < headerLen {
			return ErrMalformed
		}
		kind, size := b[0], int(binary.NativeEndian.Uint16(b[2:]))
		if size < headerLen || size > len(b) {
			return ErrMalformed
		}
		if err := e.info(kind, b[headerLen:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (e *Event) info(kind byte, b []byte) (err error) {
	switch kind {
	case unix.FAN_EVENT_INFO_TYPE_PIDFD:
		if len(b) < 4 {
			return ErrMalformed
		}
		e.PIDFD = int(int32(binary.NativeEndian.Uint32(b)))
	case unix.FAN_EVENT_INFO_TYPE_FID:
		e.Object, _, err = handle(b)
	case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		e.Dir, e.Name, err = handle(b)
	case unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		e.NewDir, e.NewName, err = handle(b)
	}
	return err
}

// handle reads a struct file_handle behind its file system, and the name that may follow.
func handle(b []byte) (Handle, string, error) {
	if len(b) < fsidLen+handleLen {
		return Handle{}, "", ErrMalformed
	}
	size := int(binary.NativeEndian.Uint32(b[fsidLen:]))
	rest := b[fsidLen+handleLen:]
	if size < 0 || size > len(rest) {
		return Handle{}, "", ErrMalformed
	}
	h := Handle{FS: [8]byte(b[:fsidLen]), Type: int32(binary.NativeEndian.Uint32(b[fsidLen+4:])), ID: string(rest[:size])}
	name := rest[size:]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	return h, string(name), nil
}
