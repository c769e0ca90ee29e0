package strike

import "golang.org/x/sys/unix"

// nothing is the number of no system call.
const nothing = ^uint64(0)

// skip has the call that a thread is about to enter do nothing.
func skip(tid int) error {
	return changeRegs(tid, unix.NT_PRSTATUS, func(r *unix.PtraceRegs) { r.Orig_rax = nothing })
}

// give has a call return a value.
func give(tid int, v int64) error {
	return changeRegs(tid, unix.NT_PRSTATUS, func(r *unix.PtraceRegs) { r.Rax = uint64(v) })
}
