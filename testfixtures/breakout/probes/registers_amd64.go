package probes

import "golang.org/x/sys/unix"

// replace puts another system call in the registers of a process that is at the entry of one.
func replace(r *unix.PtraceRegs, nr, arg uint64) { r.Orig_rax, r.Rdi = nr, arg }

func result(r *unix.PtraceRegs) int64 { return int64(r.Rax) }
