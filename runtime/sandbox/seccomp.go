//go:build linux

package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Every sandbox runs under two seccomp(2) programs; the kernel takes the
// stricter answer.
//
//  1. An allow-list: the default profile of moby for processes without
//     capabilities, made narrower by tighten. Compiled by libseccomp, once per
//     daemon: that takes longer than all the rest of a start.
//  2. A deny-list of what an allow-list can't say, see denyProgram.
//
// Only the machine's own architecture is allowed. A 32-bit program is killed: its
// socketcall(2) has its arguments in memory, where no filter looks.

// filters returns both programs in the form that blast-init loads them.
var filters = sync.OnceValues(func() ([]byte, error) {
	profile, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	allow, last, err := compile(tighten(profile.Syscalls))
	if err != nil {
		return nil, fmt.Errorf("compile seccomp profile: %w", err)
	}
	deny, err := denyProgram(last)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp profile: %w", err)
	}
	return append(frameProgram(allow), frameProgram(deny)...), nil
})

// setid are the mode bits that make a program run as its owner (inode(7)).
// Files that a command writes into the workspace are the person's on the host.
const setid = unix.S_ISUID | unix.S_ISGID

// tighten narrows moby's list of allowed calls.
func tighten(calls []specs.LinuxSyscall) []specs.LinuxSyscall {
	replaced := map[string][][]specs.LinuxSeccompArg{
		// No bit of setid in what is made or changed. openat2(2) has its mode in
		// memory; without it programs use openat.
		"chmod":     {{zero(1, setid)}},
		"fchmod":    {{zero(1, setid)}},
		"fchmodat":  {{zero(2, setid)}},
		"fchmodat2": {{zero(2, setid)}},
		"creat":     {{zero(1, setid)}},
		"mknod":     {{zero(1, setid)}},
		"mknodat":   {{zero(2, setid)}},
		"open":      {{zero(1, makesFile)}, {zero(2, setid)}},
		"openat":    {{zero(2, makesFile)}, {zero(3, setid)}},
		"openat2":   nil,
		"fallocate": nil, // see preallocating
		// A process may limit itself. Others of its user are out of reach: one of
		// them is init, which would die without descriptors.
		"prlimit64": append(limitsButCore(1, equal(0, 0)), []specs.LinuxSeccompArg{equal(0, 0), equal(1, unix.RLIMIT_CORE), equal(2, 0)}),
		"setrlimit": limitsButCore(0),
		"socket":    sockets(),
		// It takes any family, which the kernel may load a module for.
		"socketpair": {{equal(0, unix.AF_UNIX)}},
		// Its requests are counted for the whole machine (fs.aio-max-nr): a sandbox that
		// took all would leave none to the host's databases. Programs do without.
		"io_setup": nil,
		// Segments are for programs of 16 and 32 bits, which can't be run here.
		"modify_ldt": nil,
	}
	var out []specs.LinuxSyscall
	for _, c := range calls {
		c.Names = slices.DeleteFunc(slices.Clone(c.Names), func(n string) bool { _, ok := replaced[n]; return ok })
		if len(c.Names) > 0 {
			out = append(out, c)
		}
	}
	for name, rules := range replaced {
		for _, args := range rules {
			out = append(out, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow, Args: args})
		}
	}
	out = append(out, preallocating()...)
	nosys, done := uint(unix.ENOSYS), uint(0)
	// It stays what it is, 1: see keepNoCore. Programs that want no core files, which is
	// what it means, are told that they have it.
	out = append(out,
		specs.LinuxSyscall{Names: []string{"setrlimit"}, Action: specs.ActErrno, ErrnoRet: &done, Args: []specs.LinuxSeccompArg{equal(0, unix.RLIMIT_CORE)}},
		specs.LinuxSyscall{Names: []string{"prlimit64"}, Action: specs.ActErrno, ErrnoRet: &done, Args: []specs.LinuxSeccompArg{equal(0, 0), equal(1, unix.RLIMIT_CORE), {Index: 2, Value: 0, Op: specs.OpNotEqual}}})
	return append(out, specs.LinuxSyscall{Names: []string{"openat2", "io_setup"}, Action: specs.ActErrno, ErrnoRet: &nosys})
}

// limitsButCore are calls about any limit of getrlimit(2) but that of core files, whose number is the
// arg-th argument.
func limitsButCore(arg uint, more ...specs.LinuxSeccompArg) [][]specs.LinuxSeccompArg {
	var all [][]specs.LinuxSeccompArg
	for n := uint64(unix.RLIMIT_CPU); n <= unix.RLIMIT_RTTIME; n++ {
		if n != unix.RLIMIT_CORE {
			all = append(all, append(slices.Clone(more), equal(arg, n)))
		}
	}
	return all
}

// sockets are TCP, UDP and the sandbox's own; rtnetlink(7) only for reading, which
// getaddrinfo(3) does. Other protocols of the internet's families (SCTP, MPTCP,
// SMC, …) lead nowhere, and the kernel would load modules for them.
func sockets() [][]specs.LinuxSeccompArg {
	allowed := [][]specs.LinuxSeccompArg{{equal(0, unix.AF_UNIX)}, {equal(0, unix.AF_NETLINK), equal(2, unix.NETLINK_ROUTE)}}
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, s := range []struct{ kind, protocol uint64 }{
			{unix.SOCK_STREAM, 0}, {unix.SOCK_STREAM, unix.IPPROTO_TCP}, {unix.SOCK_DGRAM, 0}, {unix.SOCK_DGRAM, unix.IPPROTO_UDP},
		} {
			allowed = append(allowed, []specs.LinuxSeccompArg{equal(0, family), masked(1, socketType, s.kind), equal(2, s.protocol)})
		}
	}
	// Echo, which the namespace's ping_group_range closes where no rule allows it; icmp(7).
	for family, protocol := range map[uint64]uint64{unix.AF_INET: unix.IPPROTO_ICMP, unix.AF_INET6: unix.IPPROTO_ICMPV6} {
		allowed = append(allowed, []specs.LinuxSeccompArg{equal(0, family), masked(1, socketType, unix.SOCK_DGRAM), equal(2, protocol)})
	}
	return allowed
}

// mostPreallocated is how much of a disk one fallocate(2) may take, in bytes: it does so
// in a moment, and who watches what is left of the host's disks comes too late.
const mostPreallocated = 64 << 20

// preallocating allows fallocate(2) for what is not too much, and to make holes. For more
// it is an answer that programs know from file systems that can't do it: glibc then
// writes (posix_fallocate(3)).
func preallocating() []specs.LinuxSyscall {
	less := specs.LinuxSeccompArg{Index: 3, Value: mostPreallocated, Op: specs.OpLessEqual}
	more := specs.LinuxSeccompArg{Index: 3, Value: mostPreallocated, Op: specs.OpGreaterThan}
	unsupported := uint(unix.EOPNOTSUPP)
	return []specs.LinuxSyscall{
		{Names: []string{"fallocate"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{less}},
		{Names: []string{"fallocate"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{more, masked(1, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_PUNCH_HOLE)}},
		{Names: []string{"fallocate"}, Action: specs.ActErrno, ErrnoRet: &unsupported, Args: []specs.LinuxSeccompArg{more, zero(1, unix.FALLOC_FL_PUNCH_HOLE)}},
	}
}

// socketType is the part of socket(2)'s type that is no flag (SOCK_TYPE_MASK).
const socketType = 0xf

// makesFile are the flags with which open(2) looks at its mode.
const makesFile = unix.O_CREAT | unix.O_TMPFILE&^unix.O_DIRECTORY

func masked(arg uint, mask, v uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: arg, Value: mask, ValueTwo: v, Op: specs.OpMaskedEqual}
}

func zero(arg uint, mask uint64) specs.LinuxSeccompArg { return masked(arg, mask, 0) }

func equal(arg uint, v uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: arg, Value: v, Op: specs.OpEqualTo}
}

var compareOps = map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
	specs.OpEqualTo:      libseccomp.CompareEqual,
	specs.OpNotEqual:     libseccomp.CompareNotEqual,
	specs.OpLessThan:     libseccomp.CompareLess,
	specs.OpLessEqual:    libseccomp.CompareLessOrEqual,
	specs.OpGreaterThan:  libseccomp.CompareGreater,
	specs.OpGreaterEqual: libseccomp.CompareGreaterEqual,
	specs.OpMaskedEqual:  libseccomp.CompareMaskedEqual,
}

// compile makes a program of the list and returns the highest number of a call
// in it. Calls that this libseccomp has never heard of are left out: they stay
// refused.
func compile(calls []specs.LinuxSyscall) (program []byte, last uint32, err error) {
	f, err := libseccomp.NewFilter(libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM)))
	if err != nil {
		return nil, 0, err
	}
	defer f.Release()
	if err := f.SetBadArchAction(libseccomp.ActKillProcess); err != nil {
		return nil, 0, err
	}
	if err := f.SetOptimize(2); err != nil { // a binary tree instead of a list
		return nil, 0, err
	}
	for _, c := range calls {
		for _, name := range c.Names {
			nr, err := libseccomp.GetSyscallFromName(name)
			if err != nil || nr < 0 {
				continue
			}
			last = max(last, uint32(nr))
			if err := addRule(f, nr, c); err != nil {
				return nil, 0, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	program, err = export(f)
	return program, last, err
}

func addRule(f *libseccomp.ScmpFilter, nr libseccomp.ScmpSyscall, c specs.LinuxSyscall) error {
	action := libseccomp.ActAllow
	if c.Action == specs.ActErrno && c.ErrnoRet != nil {
		action = libseccomp.ActErrno.SetReturnCode(int16(*c.ErrnoRet))
	} else if c.Action != specs.ActAllow {
		return fmt.Errorf("action %s is not foreseen", c.Action)
	}
	var conds []libseccomp.ScmpCondition
	seen := map[uint]bool{}
	for _, a := range c.Args {
		op, ok := compareOps[a.Op]
		if !ok || seen[a.Index] { // libseccomp can't compare an argument twice in a rule
			return fmt.Errorf("condition on argument %d is not foreseen", a.Index)
		}
		seen[a.Index] = true
		cond, err := libseccomp.MakeCondition(a.Index, op, a.Value, a.ValueTwo)
		if err != nil {
			return err
		}
		conds = append(conds, cond)
	}
	if len(conds) == 0 {
		return f.AddRule(nr, action)
	}
	return f.AddRuleConditional(nr, action, conds)
}

// export returns the program as the kernel takes it.
func export(f *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	m := os.NewFile(uintptr(fd), "seccomp")
	defer func() { _ = m.Close() }()
	if err := f.ExportBPF(m); err != nil {
		return nil, err
	}
	return os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// auditArch is the machine's own architecture as seccomp(2) calls it.
var auditArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Offsets in struct seccomp_data, little-endian.
const (
	dataNr   = 0
	dataArch = 4
	dataArg1 = 16 + 8
	dataArg2 = dataArg1 + 8
)

// A denial is of calls with one value of their second argument, or with one and any
// of the third, of which the kernel looks at the lower half only.
type denial struct {
	nr, arg1 uint32
	arg2     uint32 // anyValue is any
}

const anyValue = 1<<32 - 1

// Allow-lists can't say "all but these", and libseccomp compares the whole argument
// (that was CVE-2019-10063 of flatpak).
var denied = []denial{
	// Typing on a terminal from a program; the second does it on a console.
	{unix.SYS_IOCTL, unix.TIOCSTI, anyValue},
	{unix.SYS_IOCTL, unix.TIOCLINUX, anyValue},
	// Another line discipline of a terminal: the kernel loads a module for it, for
	// whoever asks. No program without a serial line has use for one.
	{unix.SYS_IOCTL, unix.TIOCSETD, anyValue},
	// TLS in the kernel, below a socket of one's own. Libraries do it themselves, then.
	{unix.SYS_SETSOCKOPT, unix.IPPROTO_TCP, unix.TCP_ULP},
	// A lease on a file of the workspace makes everybody who opens it wait for 45
	// seconds: an editor, git, blast, and init when it is a command.
	{unix.SYS_FCNTL, unix.F_SETLEASE, anyValue},
}

// denyProgram refuses what is in denied. And it answers ENOSYS to calls that are
// newer than the allow-list, so that programs fall back to older ones.
func denyProgram(last uint32) ([]byte, error) {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return nil, errors.New("no seccomp profile for " + runtime.GOARCH)
	}
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		above = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		errno = unix.SECCOMP_RET_ERRNO
	)
	prog := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: equal, K: arch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW}, // another one is killed by the allow-list
		{Code: load, K: dataNr},
		{Code: above, K: last, Jf: 1},
		{Code: ret, K: errno | uint32(unix.ENOSYS)},
	}
	for _, d := range denied {
		args := []unix.SockFilter{{Code: load, K: dataArg1}, {Code: equal, K: d.arg1, Jf: 1}}
		if d.arg2 != anyValue {
			args = []unix.SockFilter{{Code: load, K: dataArg1}, {Code: equal, K: d.arg1, Jf: 3}, {Code: load, K: dataArg2}, {Code: equal, K: d.arg2, Jf: 1}}
		}
		prog = append(prog, unix.SockFilter{Code: load, K: dataNr}, unix.SockFilter{Code: equal, K: d.nr, Jf: uint8(len(args) + 1)})
		prog = append(append(prog, args...), unix.SockFilter{Code: ret, K: errno | uint32(unix.EPERM)})
	}
	prog = append(prog, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, prog); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// frameProgram puts the number of instructions before a program.
func frameProgram(p []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(p)/8)), p...)
}
