package strike

import (
	"bytes"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ptrace is ptrace(2) with a number for data.
func ptrace(request, tid int, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0)
	return fault(errno)
}

// ptraceAt is ptrace(2) with the address of what it fills or takes.
func ptraceAt(request, tid int, what uintptr, data unsafe.Pointer) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), what, uintptr(data), 0, 0)
	return fault(errno)
}

func fault(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// info is struct ptrace_syscall_info of ptrace(2).
type info struct {
	op    uint8
	_     [3]uint8
	_     uint32 // the architecture
	_     [2]uint64
	union [8]uint64
}

func infoOf(tid int) (info, error) {
	var i info
	err := ptraceAt(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(i), unsafe.Pointer(&i))
	return i, err
}

func (i *info) nr() uint64        { return i.union[0] }
func (i *info) args() [6]uint64   { return [6]uint64(i.union[1:7]) }
func (i *info) errno() unix.Errno { return unix.Errno(max(0, -i.value())) }

// value is what a call returns, or the negated errno.
func (i *info) value() int64 {
	if v := int64(i.union[0]); uint8(i.union[1]) != 0 || v >= 0 {
		return v
	}
	return 0 // an address
}

// restarts reports whether the kernel is about to begin the call anew: ERESTARTSYS to
// ERESTART_RESTARTBLOCK of its include/linux/errno.h, which no program ever sees.
func (i *info) restarts() bool {
	e := i.errno()
	return 512 <= e && e <= 516
}

// changeRegs changes a set of registers of a thread that is stopped.
func changeRegs[R any](tid int, set uintptr, change func(*R)) error {
	var r R
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&r))}
	v.SetLen(int(unsafe.Sizeof(r)))
	err := ptraceAt(unix.PTRACE_GETREGSET, tid, set, unsafe.Pointer(&v))
	if err == nil {
		change(&r)
		err = ptraceAt(unix.PTRACE_SETREGSET, tid, set, unsafe.Pointer(&v))
	}
	return err
}

// fields are the words after a key in a file such as proc_pid_status(5).
func fields(b []byte, key string) []string {
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// text is the string at an address of the thread's memory.
func (t task) text(addr uint64) string {
	const page = 4096
	var out []byte
	for len(out) < unix.PathMax {
		b := make([]byte, page-addr%page)
		n, err := t.mem.ReadAt(b, int64(addr))
		if end := bytes.IndexByte(b[:n], 0); end >= 0 {
			return string(append(out, b[:end]...))
		}
		out = append(out, b[:n]...)
		addr += uint64(n)
		if err != nil {
			break
		}
	}
	return string(out)
}

// word is a number at an address of the thread's memory, of up to 8 bytes.
func (t task) word(addr uint64, size int) uint64 {
	var b [8]byte
	if _, err := t.mem.ReadAt(b[:size], int64(addr)); err != nil {
		return 0
	}
	return *(*uint64)(unsafe.Pointer(&b))
}
