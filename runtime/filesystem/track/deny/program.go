//go:build linux

package deny

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A hook is a function of the kernel that does something with a path, or two.
type hook struct {
	function string
	op       Op
	params   []string // types; see takes
	dirs     []int    // which of them are the folders that the paths are relative to
	names    []int    // which are the paths
	busy     bool     // EBUSY is a refusal, too: something is mounted there
}

const (
	typeInt  = "int"
	typeName = "filename"
)

// opens is the one that hands its path back to its caller. The others have given theirs
// away when they return, so it is noted before.
var opens = hook{"do_filp_open", Open, []string{typeInt, typeName, "open_flags"}, []int{0}, []int{1}, false}

var changes = []hook{
	{"do_unlinkat", Unlink, []string{typeInt, typeName}, []int{0}, []int{1}, true},
	{"do_rmdir", Rmdir, []string{typeInt, typeName}, []int{0}, []int{1}, true},
	{"do_mkdirat", Mkdir, []string{typeInt, typeName}, []int{0}, []int{1}, false},
	{"do_mknodat", Mknod, []string{typeInt, typeName}, []int{0}, []int{1}, false},
	{"do_symlinkat", Symlink, []string{typeName, typeInt, typeName}, []int{1}, []int{2}, false},
	{"do_linkat", Link, []string{typeInt, typeName, typeInt, typeName}, []int{0, 2}, []int{1, 3}, false},
	{"do_renameat2", Rename, []string{typeInt, typeName, typeInt, typeName}, []int{0, 2}, []int{1, 3}, true},
}

// Where an event has what: see decode. Behind the head come for each path its text and the
// names of the folders that it is relative to, the innermost first, each with a NUL.
const (
	atOp      = 0
	atErrno   = 4
	atPID     = 8
	atHostPID = 12
	atUID     = 16
	atMode    = 20
	atFlags   = 24
	atPaths   = 28 // of two paths: lengths of its text and its folders, and whether those are all
	atCommand = 52
	headLen   = 72
	pathLen   = 12
)

// Bounds, in bytes. A path may take PATH_MAX of linux/limits.h; of two each is cut.
const (
	longPath   = 4096
	shortPath  = 1024
	longest    = 256 // a name with its NUL: NAME_MAX
	maxFolders = 2048
	eventSize  = 8192
	deepest    = 32 // folders and mounts on the way to the root
	stashSize  = 2 * shortPath
)

// What the stack has, from the frame pointer down.
const (
	onErrno  = -8
	onTask   = -16
	onPID    = -24
	onUpid   = -40 // 16 bytes: number, namespace
	onInum   = -48
	onLevel  = -56
	onKey    = -64
	onPath   = -80 // 16 bytes: mount, folder
	onRoot   = -88
	onParent = -96
	onNext   = -104
	onDirs   = -120 // two of 8 bytes
	onHost   = -128
	onArg    = -144 // 16 bytes
)

// Registers that calls leave alone.
const (
	args  = asm.R6 // what the function was called with, and later what was noted of it
	event = asm.R7
	ring  = asm.R8
	size  = asm.R9 // of the event until now
	fp    = asm.R10
)

// A program is one that is being written.
type program struct {
	asm.Instructions
	l      layout
	labels int
}

func (p *program) add(is ...asm.Instruction) { p.Instructions = append(p.Instructions, is...) }

// label lets the next instruction be jumped to.
func (p *program) label(name string) { p.add(asm.Mov.Imm(asm.R0, 0).WithSymbol(name)) }

func (p *program) fresh(name string) string {
	p.labels++
	return fmt.Sprintf("%s_%d", name, p.labels)
}

// read copies so many bytes to the stack from where R3 points to. What can't be read is 0.
func (p *program) read(to int32, bytes int32) {
	p.add(asm.Mov.Reg(asm.R1, fp), asm.Add.Imm(asm.R1, to), asm.Mov.Imm(asm.R2, bytes), asm.FnProbeReadKernel.Call())
}

// follow reads what lies behind a pointer on the stack.
func (p *program) follow(to int32, bytes int32, from, at int32) {
	p.add(asm.LoadMem(asm.R3, fp, int16(from), asm.DWord), asm.Add.Imm(asm.R3, at))
	p.read(to, bytes)
}

// filter goes on only for processes of a sandbox that somebody asks about, with its ring.
func (p *program) filter(m maps) {
	p.add(asm.FnGetCurrentTask.Call(), asm.StoreMem(fp, onTask, asm.R0, asm.DWord))
	p.follow(onPID, 8, onTask, p.l.taskLeader) // the process that the thread is of
	p.follow(onPID, 8, onPID, p.l.taskPID)
	p.follow(onLevel, 4, onPID, p.l.pidLevel)
	p.add(
		asm.LoadMem(size, fp, onLevel, asm.Word),
		asm.And.Imm(size, 31), // MAX_PID_NS_LEVEL of linux/pid_namespace.h is 32
		asm.JEq.Imm(size, 0, "out"),
		asm.Mul.Imm(size, p.l.upidSize),
		asm.LoadMem(asm.R3, fp, onPID, asm.DWord), asm.Add.Imm(asm.R3, p.l.pidNumbers),
		asm.Add.Reg(asm.R3, size), asm.Mov.Reg(size, asm.R3),
	)
	p.read(onUpid, 16)
	p.follow(onInum, 4, onUpid+8, p.l.nsInum)
	p.lookup(m.rings.FD(), onInum)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(ring, asm.R0), asm.Mov.Reg(asm.R3, size), asm.Sub.Imm(asm.R3, p.l.upidSize))
	p.read(onHost, 4)
}

// lookup asks a map for the key on the stack.
func (p *program) lookup(fd int, key int32) {
	p.add(asm.LoadMapPtr(asm.R1, fd), asm.Mov.Reg(asm.R2, fp), asm.Add.Imm(asm.R2, key), asm.FnMapLookupElem.Call())
}

// scratch finds room for an event, which is this program's alone.
func (p *program) scratch(fd int) {
	p.add(asm.StoreImm(fp, onKey, 0, asm.Word))
	p.lookup(fd, onKey)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(event, asm.R0))
}

func (p *program) key() {
	p.add(asm.FnGetCurrentPidTgid.Call(), asm.StoreMem(fp, onKey, asm.R0, asm.DWord))
}

// head writes who was refused what.
func (p *program) head(op Op) {
	p.add(
		asm.StoreImm(event, atOp, int64(op), asm.Word),
		asm.LoadMem(asm.R1, fp, onErrno, asm.Word), asm.StoreMem(event, atErrno, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, fp, onUpid, asm.Word), asm.StoreMem(event, atPID, asm.R1, asm.Word),
		asm.LoadMem(asm.R1, fp, onHost, asm.Word), asm.StoreMem(event, atHostPID, asm.R1, asm.Word),
		asm.FnGetCurrentUidGid.Call(), asm.StoreMem(event, atUID, asm.R0, asm.Word),
		asm.StoreImm(event, atMode, 0, asm.Word), asm.StoreImm(event, atFlags, 0, asm.Word),
	)
	for at := int16(atPaths); at < atPaths+2*pathLen; at += 4 {
		p.add(asm.StoreImm(event, at, 0, asm.Word))
	}
	p.add(
		asm.Mov.Reg(asm.R1, event), asm.Add.Imm(asm.R1, atCommand), asm.Mov.Imm(asm.R2, 16), asm.FnGetCurrentComm.Call(),
		asm.Mov.Imm(size, headLen),
	)
}

// text appends a path, to which R3 points.
func (p *program) text(i int, most int32) {
	none := p.fresh("none")
	p.add(
		asm.Mov.Reg(asm.R1, event), asm.Add.Reg(asm.R1, size), asm.Mov.Imm(asm.R2, most), asm.FnProbeReadKernelStr.Call(),
		asm.JGT.Imm(asm.R0, most, none), // an error
		asm.StoreMem(event, int16(atPaths+i*pathLen), asm.R0, asm.Word),
		asm.Add.Reg(size, asm.R0),
	)
	p.label(none)
}

// folders appends those that a path is relative to.
func (p *program) folders(i int, limit int32) {
	end, all, open, walk := p.fresh("end"), p.fresh("all"), p.fresh("open"), p.fresh("walk")
	dir := int16(onDirs + 8*i)
	p.add(asm.StoreMem(fp, onNext, size, asm.DWord))
	p.add(asm.LoadMem(asm.R1, fp, dir, asm.Word), asm.JNE.Imm32(asm.R1, unix.AT_FDCWD, open))
	p.follow(onArg, 8, onTask, p.l.taskFS)
	p.follow(onPath, 16, onArg, p.l.fsPwd)
	p.add(asm.Ja.Label(walk))
	p.label(open)
	p.follow(onArg, 8, onTask, p.l.taskFiles)
	p.follow(onArg, 8, onArg, p.l.filesTable)
	p.follow(onRoot, 4, onArg, p.l.tableMax)
	p.add(asm.LoadMem(asm.R1, fp, onRoot, asm.Word), asm.LoadMem(asm.R2, fp, dir, asm.Word), asm.JGE.Reg(asm.R2, asm.R1, end))
	p.follow(onArg, 8, onArg, p.l.tableFD)
	p.add(
		asm.LoadMem(asm.R3, fp, onArg, asm.DWord), asm.LoadMem(asm.R2, fp, dir, asm.Word), asm.LSh.Imm(asm.R2, 3),
		asm.Add.Reg(asm.R3, asm.R2),
	)
	p.read(onArg, 8)
	p.follow(onPath, 16, onArg, p.l.filePath)
	p.label(walk)
	p.add( // from struct vfsmount to the struct mount that it lies in
		asm.LoadMem(asm.R1, fp, onPath, asm.DWord), asm.Sub.Imm(asm.R1, p.l.mountOf), asm.StoreMem(fp, onPath, asm.R1, asm.DWord),
	)
	for range deepest {
		p.up(limit, end, all)
	}
	p.add(asm.Ja.Label(end))
	p.label(all)
	p.add(asm.StoreImm(event, int16(atPaths+i*pathLen+8), 1, asm.Word))
	p.label(end)
	p.add(
		asm.LoadMem(asm.R1, fp, onNext, asm.DWord), asm.Mov.Reg(asm.R2, size), asm.Sub.Reg(asm.R2, asm.R1),
		asm.StoreMem(event, int16(atPaths+i*pathLen+4), asm.R2, asm.Word),
	)
}

// up goes one step to the root: to the parent of a folder, or from the root of a mount to
// what it lies on.
func (p *program) up(limit int32, end, all string) {
	across, next := p.fresh("across"), p.fresh("next")
	p.follow(onRoot, 8, onPath, p.l.mountOf+p.l.mountRoot)
	p.add(asm.LoadMem(asm.R1, fp, onRoot, asm.DWord), asm.LoadMem(asm.R2, fp, onPath+8, asm.DWord), asm.JEq.Reg(asm.R1, asm.R2, across))
	p.follow(onParent, 8, onPath+8, p.l.dentryParent)
	p.add(asm.LoadMem(asm.R1, fp, onParent, asm.DWord), asm.LoadMem(asm.R2, fp, onPath+8, asm.DWord), asm.JEq.Reg(asm.R1, asm.R2, end))
	p.follow(onRoot, 8, onPath+8, p.l.dentryName)
	p.add(
		asm.Mov.Reg(asm.R1, event), asm.Add.Reg(asm.R1, size), asm.Mov.Imm(asm.R2, longest),
		asm.LoadMem(asm.R3, fp, onRoot, asm.DWord), asm.FnProbeReadKernelStr.Call(),
		asm.JGT.Imm(asm.R0, longest, end), // an error
		asm.Add.Reg(size, asm.R0),
		asm.JGT.Imm(size, limit, end),
		asm.LoadMem(asm.R1, fp, onParent, asm.DWord), asm.StoreMem(fp, onPath+8, asm.R1, asm.DWord),
		asm.Ja.Label(next),
	)
	p.label(across)
	p.follow(onParent, 8, onPath, p.l.mountParent)
	p.add(asm.LoadMem(asm.R1, fp, onParent, asm.DWord), asm.LoadMem(asm.R2, fp, onPath, asm.DWord), asm.JEq.Reg(asm.R1, asm.R2, all))
	p.follow(onPath+8, 8, onPath, p.l.mountPoint)
	p.add(asm.LoadMem(asm.R1, fp, onParent, asm.DWord), asm.StoreMem(fp, onPath, asm.R1, asm.DWord))
	p.label(next)
}

// send hands the event over, or counts that there was no room for it.
func (p *program) send(m maps) {
	p.add(
		asm.Mov.Reg(asm.R1, ring), asm.Mov.Reg(asm.R2, event), asm.Mov.Reg(asm.R3, size), asm.Mov.Imm(asm.R4, 0), asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
	)
	p.lookup(m.lost.FD(), onInum)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R0, asm.R1, asm.DWord))
	p.out()
}

func (p *program) out() { p.add(asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()) }

// afterOpen runs when a file was opened, or was not: on every open of the machine, so the
// first thing is to see that it wasn't refused.
func afterOpen(l layout, m maps, scratch, params int) asm.Instructions {
	p := &program{l: l}
	p.add(asm.Mov.Reg(args, asm.R1), asm.LoadMem(asm.R1, args, int16(8*params), asm.DWord))
	for _, e := range refusals {
		p.add(asm.JEq.Imm(asm.R1, -int32(e), "refused"))
	}
	p.add(asm.Ja.Label("out"))
	p.label("refused")
	p.add(asm.Neg.Imm(asm.R1, 0), asm.StoreMem(fp, onErrno, asm.R1, asm.DWord))
	p.filter(m)
	p.scratch(scratch)
	p.head(Open)
	p.add(asm.LoadMem(asm.R1, args, 0, asm.DWord), asm.StoreMem(fp, onDirs, asm.R1, asm.DWord))
	p.add(asm.LoadMem(asm.R3, args, 16, asm.DWord))
	p.add(asm.Add.Imm(asm.R3, l.openFlags))
	p.read(onArg, 4)
	p.add(asm.LoadMem(asm.R1, fp, onArg, asm.Word), asm.StoreMem(event, atFlags, asm.R1, asm.Word))
	p.add(asm.LoadMem(asm.R3, args, 16, asm.DWord), asm.Add.Imm(asm.R3, l.openMode))
	p.read(onArg, 4)
	p.add(asm.LoadMem(asm.R1, fp, onArg, asm.Word), asm.StoreMem(event, atMode, asm.R1, asm.Word))
	p.add(asm.LoadMem(asm.R3, args, 8, asm.DWord), asm.Add.Imm(asm.R3, l.nameText))
	p.read(onArg, 8)
	p.add(asm.LoadMem(asm.R3, fp, onArg, asm.DWord))
	p.text(0, longPath)
	p.folders(0, headLen+longPath+maxFolders)
	p.send(m)
	return p.Instructions
}

// before notes the paths of a change that is about to be tried.
func before(h hook, l layout, m maps, scratch int) asm.Instructions {
	p := &program{l: l}
	p.add(asm.Mov.Reg(args, asm.R1))
	p.filter(m)
	p.scratch(scratch)
	for i, n := range h.names {
		p.add(asm.LoadMem(asm.R3, args, int16(8*n), asm.DWord), asm.Add.Imm(asm.R3, l.nameText))
		p.read(onArg, 8)
		p.add(
			asm.Mov.Reg(asm.R1, event), asm.Add.Imm(asm.R1, int32(i*shortPath)), asm.Mov.Imm(asm.R2, shortPath),
			asm.LoadMem(asm.R3, fp, onArg, asm.DWord), asm.FnProbeReadKernelStr.Call(),
		)
	}
	p.key()
	p.add(
		asm.LoadMapPtr(asm.R1, m.stash.FD()), asm.Mov.Reg(asm.R2, fp), asm.Add.Imm(asm.R2, onKey), asm.Mov.Reg(asm.R3, event),
		asm.Mov.Imm(asm.R4, 0), asm.FnMapUpdateElem.Call(),
	)
	p.out()
	return p.Instructions
}

// after runs when a change was made, or was not.
func after(h hook, l layout, m maps, scratch, params int) asm.Instructions {
	p := &program{l: l}
	p.add(asm.Mov.Reg(args, asm.R1), asm.LoadMem(asm.R1, args, int16(8*params), asm.Word))
	no := refusals
	if h.busy {
		no = append(no[:len(no):len(no)], unix.EBUSY)
	}
	for _, e := range no {
		p.add(asm.JEq.Imm32(asm.R1, -int32(e), "refused"))
	}
	p.add(asm.Ja.Label("out"))
	p.label("refused")
	p.add(asm.Neg.Imm(asm.R1, 0), asm.StoreMem(fp, onErrno, asm.R1, asm.DWord))
	p.filter(m)
	p.scratch(scratch)
	p.head(h.op)
	for i, d := range h.dirs {
		p.add(asm.LoadMem(asm.R1, args, int16(8*d), asm.DWord), asm.StoreMem(fp, int16(onDirs+8*i), asm.R1, asm.DWord))
	}
	p.key()
	p.lookup(m.stash.FD(), onKey)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(args, asm.R0))
	limit := int32(headLen)
	for i := range h.names {
		p.add(asm.Mov.Reg(asm.R3, args), asm.Add.Imm(asm.R3, int32(i*shortPath)))
		p.text(i, shortPath)
		limit += shortPath + maxFolders
		p.folders(i, limit)
		limit += longest
	}
	p.send(m)
	return p.Instructions
}

// refusals are the answers by which something is not allowed. EOVERFLOW is what belongs to
// somebody whom the sandbox's mount has no id for.
var refusals = []unix.Errno{unix.EACCES, unix.EPERM, unix.EROFS, unix.EOVERFLOW}
