//go:build linux

package fan

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// event is one as the kernel writes it.
func event(mask uint64, fd, pid int32, infos ...[]byte) []byte {
	b := slices.Concat(append([][]byte{make([]byte, metadataLen)}, infos...)...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	b[4] = unix.FANOTIFY_METADATA_VERSION
	binary.NativeEndian.PutUint16(b[6:], metadataLen)
	binary.NativeEndian.PutUint64(b[8:], mask)
	binary.NativeEndian.PutUint32(b[16:], uint32(fd))
	binary.NativeEndian.PutUint32(b[20:], uint32(pid))
	return b
}

func info(kind byte, body []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(body))
	b[0] = kind
	b = append(b, body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.NativeEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func named(fs byte, id, name string) []byte {
	head := make([]byte, fsidLen+handleLen)
	head[0] = fs
	binary.NativeEndian.PutUint32(head[fsidLen:], uint32(len(id)))
	binary.NativeEndian.PutUint32(head[fsidLen+4:], 1)
	return slices.Concat(head, []byte(id), []byte(name), []byte{0})
}

func TestDecode(t *testing.T) {
	pidfd := []byte{9, 0, 0, 0}
	b := event(unix.FAN_CLOSE_WRITE, 7, 42)
	b = append(b, event(unix.FAN_RENAME, unix.FAN_NOFD, 43,
		info(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, named(1, "aa", "old\nname")), info(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, named(1, "bb", "new")),
		info(unix.FAN_EVENT_INFO_TYPE_FID, named(1, "cc", "")), info(unix.FAN_EVENT_INFO_TYPE_PIDFD, pidfd), info(99, []byte("of tomorrow")))...)
	b = append(b, event(unix.FAN_Q_OVERFLOW, unix.FAN_NOFD, 0)...)
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	h := func(id string) Handle { return Handle{FS: [8]byte{1}, Type: 1, ID: id} }
	want := []Event{
		{Mask: unix.FAN_CLOSE_WRITE, FD: 7, PID: 42, PIDFD: -1},
		{Mask: unix.FAN_RENAME, FD: -1, PID: 43, Dir: h("aa"), Name: "old\nname", NewDir: h("bb"), NewName: "new", Object: h("cc"), PIDFD: 9},
		{Mask: unix.FAN_Q_OVERFLOW, FD: -1, PIDFD: -1},
	}
	if d := cmp.Diff(want, got); d != "" || !got[2].Overflow() {
		t.Error(d)
	}
}

// TestDecodeWhatIsCutOff never reads past its end, at whatever byte it ends.
func TestDecodeWhatIsCutOff(t *testing.T) {
	b := event(unix.FAN_CREATE, unix.FAN_NOFD, 1, info(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, named(1, "aa", "name")), info(unix.FAN_EVENT_INFO_TYPE_PIDFD, []byte{1, 0, 0, 0}))
	for n := 1; n < len(b); n++ {
		if _, err := Decode(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	huge := event(unix.FAN_CREATE, unix.FAN_NOFD, 1, info(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, named(1, "aa", "name")))
	binary.NativeEndian.PutUint32(huge[metadataLen+headerLen+fsidLen:], 1<<31)
	if _, err := Decode(huge); !errors.Is(err, ErrMalformed) {
		t.Errorf("a huge handle: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(event(unix.FAN_CREATE, unix.FAN_NOFD, 1, info(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, named(1, "aa", "name"))))
	f.Add(event(unix.FAN_CLOSE_WRITE, 7, 42))
	f.Fuzz(func(t *testing.T, b []byte) {
		es, _ := Decode(b)
		if len(es) > len(b)/metadataLen {
			t.Errorf("%d events in %d bytes", len(es), len(b))
		}
	})
}

// TestNobodyWaitsForUs: no mark asks for an event that the kernel waits for an answer to.
func TestNobodyWaitsForUs(t *testing.T) {
	const asked = Writes | Reads | Executes | names
	if waits := uint64(asked & (unix.FAN_ALL_PERM_EVENTS | unix.FAN_OPEN_EXEC_PERM | unix.FAN_PRE_ACCESS)); waits != 0 {
		t.Errorf("%#x", waits)
	}
}
