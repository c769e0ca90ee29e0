package daemon

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// advice says what to do about a disk that is full, failing or closed to writing. Of
// other errors only the message is known.
func advice(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "Make room on that file system, then do it again."
	case errors.Is(err, unix.EROFS):
		return "Its file system is read-only: remount it writable, then do it again."
	case errors.Is(err, unix.EIO):
		return "The disk failed: the kernel's log (dmesg) says how."
	case errors.Is(err, unix.EPERM) && (errors.As(err, &path) || errors.As(err, &link)):
		return "Not even root may write there: it may be immutable or append-only (lsattr shows that, chattr -i -a ends it)."
	}
	return ""
}
