//go:build linux

// Package deny sees which accesses to files the kernel refuses to the processes of
// sandboxes: each one, with who it was, also of those that end at once.
//
// fanotify(7) doesn't tell of them. BPF programs do, at the end of the kernel's functions
// that open, create, rename and delete by a path (fexit). They look only, nobody waits,
// and they go with their process. What they cost the rest of the machine is some
// nanoseconds for each such call: whatever was not refused, or is no sandbox's, they leave
// at once. See docs/FILES.md.
package deny

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// maps are what the programs share.
type maps struct {
	rings *ebpf.Map // by number of the pid namespace: a ring for each sandbox
	lost  *ebpf.Map // likewise: how much found no room in it
	stash *ebpf.Map // by thread: the paths of what it is about to change
}

// Bounds. A sandbox decides how often it is refused, and has a ring of its own.
const (
	ringSize  = 256 << 10 // bytes; more than 1 000 refusals of usual paths
	most      = 4096      // sandboxes
	mostStash = 512       // threads that are changing names right now
)

// A Tap is the programs, and who asks for what they see. The zero value is ready; its
// programs are there while somebody does.
type Tap struct {
	mu    sync.Mutex
	maps  maps
	progs []*ebpf.Program
	links []link.Link
	users int
	able  bool     // it was loaded once
	never error    // why this host can't; it won't learn
	blind []string // functions of this kernel that can't be watched
}

// A Ring is what is refused to one sandbox.
type Ring struct {
	tap    *Tap
	inum   uint32
	ring   *ebpf.Map
	reader *ringbuf.Reader
	record ringbuf.Record
	lost   uint64
}

// Open begins to tell of the sandbox with this pid namespace. It is an error if the host
// can't; blind is what it can't tell of, as functions of the kernel.
func (t *Tap) Open(inum uint32) (r *Ring, blind []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.up(); err != nil {
		return nil, nil, err
	}
	t.users++
	r = &Ring{tap: t, inum: inum}
	if err := r.open(); err != nil {
		t.leave(r) // this was not the host's lack
		return nil, nil, fmt.Errorf("watch refusals: %w", err)
	}
	return r, t.blind, nil
}

// Able returns why the host can't tell of refusals; nil if it can.
func (t *Tap) Able() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.able {
		return nil
	}
	err := t.up()
	if err == nil && t.users == 0 {
		t.unload()
	}
	return err
}

// up lets the programs run, if they don't. t.mu is held.
func (t *Tap) up() error {
	if t.users > 0 || t.never != nil {
		return t.never
	}
	if t.never = t.load(); t.never != nil {
		t.unload()
	}
	t.able = t.never == nil
	return t.never
}

func (r *Ring) open() (err error) {
	if r.ring, err = ebpf.NewMap(ringSpec()); err != nil {
		return err
	}
	if r.reader, err = ringbuf.NewReader(r.ring); err != nil {
		return err
	}
	r.reader.SetDeadline(time.Unix(1, 0)) // it never waits
	if err := r.tap.maps.lost.Put(r.inum, uint64(0)); err != nil {
		return err
	}
	return r.tap.maps.rings.Put(r.inum, r.ring)
}

// Close ends it.
func (r *Ring) Close() {
	r.tap.mu.Lock()
	defer r.tap.mu.Unlock()
	r.tap.leave(r)
}

// leave is Close with t.mu held.
func (t *Tap) leave(r *Ring) {
	_ = t.maps.rings.Delete(r.inum)
	_ = t.maps.lost.Delete(r.inum)
	if r.reader != nil {
		_ = r.reader.Close()
	}
	if r.ring != nil {
		_ = r.ring.Close()
	}
	if t.users--; t.users == 0 {
		t.unload()
	}
}

// FD is what to poll for POLLIN.
func (r *Ring) FD() int32 { return int32(r.ring.FD()) }

// Read returns the next one; false if there is none now. What is malformed is passed over.
func (r *Ring) Read() (Event, bool, error) {
	for {
		err := r.reader.ReadInto(&r.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return Event{}, false, nil
		}
		if err != nil {
			return Event{}, false, fmt.Errorf("read refusals: %w", err)
		}
		if e, err := decode(r.record.RawSample); err == nil {
			return e, true, nil
		}
	}
}

// Lost is how many were lost since the last call, for want of room.
func (r *Ring) Lost() uint64 {
	var n uint64
	if r.tap.maps.lost.Lookup(r.inum, &n) != nil || n <= r.lost {
		return 0
	}
	n, r.lost = n-r.lost, n
	return n
}

func ringSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "blast_refused", Type: ebpf.RingBuf, MaxEntries: ringSize}
}

// load makes the maps and programs, and lets the kernel run them. t.mu is held.
func (t *Tap) load() error {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("this kernel doesn't describe itself (CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	l, err := readLayout(spec)
	if err != nil {
		return err
	}
	if !takes(spec, opens.function, opens.params) {
		return fmt.Errorf("%w: no %s that is known", errLayout, opens.function)
	}
	if err := t.makeMaps(); err != nil {
		return fmt.Errorf("this kernel refuses BPF maps: %w", plain(err))
	}
	if err := t.attach(opens, ebpf.AttachTraceFExit, eventSize, func(scratch int) asm.Instructions {
		return afterOpen(l, t.maps, scratch, paramsOf(spec, opens.function))
	}); err != nil {
		return fmt.Errorf("this kernel refuses BPF programs that trace it: %w", plain(err))
	}
	t.blind = nil
	for _, h := range changes {
		if err := t.change(spec, h, l); err != nil {
			t.blind = append(t.blind, h.function)
		}
	}
	return nil
}

// plain is an error of the library without its guesses, where the kernel's word is in it.
func plain(err error) error {
	var no unix.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

var errNone = errors.New("no such function")

func (t *Tap) change(spec *btf.Spec, h hook, l layout) error {
	if !takes(spec, h.function, h.params) {
		return errNone
	}
	if err := t.attach(h, ebpf.AttachTraceFEntry, stashSize, func(scratch int) asm.Instructions { return before(h, l, t.maps, scratch) }); err != nil {
		return err
	}
	return t.attach(h, ebpf.AttachTraceFExit, eventSize, func(scratch int) asm.Instructions {
		return after(h, l, t.maps, scratch, paramsOf(spec, h.function))
	})
}

func (t *Tap) makeMaps() (err error) {
	if t.maps.rings, err = ebpf.NewMap(&ebpf.MapSpec{Name: "blast_sandboxes", Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: most, InnerMap: ringSpec()}); err != nil {
		return err
	}
	if t.maps.lost, err = ebpf.NewMap(&ebpf.MapSpec{Name: "blast_lost", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: most}); err != nil {
		return err
	}
	t.maps.stash, err = ebpf.NewMap(&ebpf.MapSpec{Name: "blast_names", Type: ebpf.LRUHash, KeySize: 8, ValueSize: stashSize, MaxEntries: mostStash})
	return err
}

// attach lets a program run at a function. It has room of its own on each processor: the
// kernel doesn't run it there twice at a time.
func (t *Tap) attach(h hook, at ebpf.AttachType, room uint32, write func(scratch int) asm.Instructions) error {
	scratch, err := ebpf.NewMap(&ebpf.MapSpec{Name: "blast_scratch", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: room, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer func() { _ = scratch.Close() }() // the program holds it
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "blast_refused", Type: ebpf.Tracing, AttachType: at, AttachTo: h.function, Instructions: write(scratch.FD()), License: "Dual MIT/GPL",
	})
	if err != nil {
		return fmt.Errorf("%s: %w", h.function, err)
	}
	t.progs = append(t.progs, p)
	l, err := link.AttachTracing(link.TracingOptions{Program: p, AttachType: at})
	if err != nil {
		return fmt.Errorf("%s: %w", h.function, err)
	}
	t.links = append(t.links, l)
	loaded.Add(1)
	return nil
}

// unload takes all back. t.mu is held.
func (t *Tap) unload() {
	for _, l := range t.links {
		_ = l.Close()
		loaded.Add(-1)
	}
	for _, p := range t.progs {
		_ = p.Close()
	}
	for _, m := range []*ebpf.Map{t.maps.rings, t.maps.lost, t.maps.stash} {
		if m != nil {
			_ = m.Close()
		}
	}
	t.links, t.progs, t.maps = nil, nil, maps{}
}

// Loaded is how many of the programs this process has in the kernel.
func Loaded() int { return int(loaded.Load()) }

var loaded atomic.Int32
