package strike

import "golang.org/x/sys/unix"

// skip has the call that a thread is about to enter do nothing.
func skip(tid int) error {
	return changeRegs(tid, unix.NT_ARM_SYSTEM_CALL, func(nr *int32) { *nr = -1 })
}

// give has a call return a value.
func give(tid int, v int64) error {
	return changeRegs(tid, unix.NT_PRSTATUS, func(r *unix.PtraceRegs) { r.Regs[0] = uint64(v) })
}
