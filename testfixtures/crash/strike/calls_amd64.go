package strike

import "golang.org/x/sys/unix"

// own are the calls that newer architectures have not.
var own = map[uint64]form{
	unix.SYS_OPEN:      {"open", at(cwd, 0), opens(1)},
	unix.SYS_CREAT:     {"creat", at(cwd, 0), nil},
	unix.SYS_RENAME:    {"rename", both(at(cwd, 0), at(cwd, 1)), nil},
	unix.SYS_LINK:      {"link", both(at(cwd, 0), at(cwd, 1)), nil},
	unix.SYS_SYMLINK:   {"symlink", both(text(0), at(cwd, 1)), nil},
	unix.SYS_UNLINK:    {"unlink", at(cwd, 0), nil},
	unix.SYS_MKDIR:     {"mkdir", at(cwd, 0), nil},
	unix.SYS_RMDIR:     {"rmdir", at(cwd, 0), nil},
	unix.SYS_MKNOD:     {"mknod", at(cwd, 0), nil},
	unix.SYS_CHMOD:     {"chmod", at(cwd, 0), nil},
	unix.SYS_CHOWN:     {"chown", at(cwd, 0), nil},
	unix.SYS_LCHOWN:    {"lchown", at(cwd, 0), nil},
	unix.SYS_UTIME:     {"utime", at(cwd, 0), nil},
	unix.SYS_UTIMES:    {"utimes", at(cwd, 0), nil},
	unix.SYS_FUTIMESAT: {"futimesat", at(0, 1), nil},
	unix.SYS_FORK:      {"fork", nil, nil},
	unix.SYS_VFORK:     {"vfork", nil, nil},
}
