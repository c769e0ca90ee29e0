package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrInUse means that a memory limit is below what the environment's processes
// hold and the kernel could not take back.
var ErrInUse = errors.New("more memory is in use than the new limit allows")

// pages rounds bytes down as the kernel does. It reports false for so many that
// the kernel takes them as no limit: a page counter ends at LONG_MAX / PAGE_SIZE.
func pages(bytes uint64) (uint64, bool) {
	size := uint64(os.Getpagesize())
	end := uint64(math.MaxInt64) / size * size
	return bytes / size * size, bytes < end
}

// settlePages keeps those of its that are limits, in whole pages.
func settlePages(w wishes, its ...item) wishes {
	s := wishes{}
	for _, it := range its {
		if v, ok := w[it]; ok {
			if v, ok = pages(v); ok {
				s[it] = v
			}
		}
	}
	return s
}

// memoryV2 is memory.max, memory.high and memory.swap.max.
type memoryV2 struct{}

var memoryV2Files = []struct {
	it   item
	file string
}{
	{memoryHigh, "memory.high"},
	{memorySwap, "memory.swap.max"},
	{memoryMax, "memory.max"},
}

func (memoryV2) items() []item            { return []item{memoryMax, memoryHigh, memorySwap} }
func (m memoryV2) settle(w wishes) wishes { return settlePages(w, m.items()...) }

func (m memoryV2) read(dir string, want wishes) (wishes, error) {
	w := wishes{}
	for _, f := range memoryV2Files {
		if f.it == memorySwap && !exists(dir, f.file) && exists(dir, "memory.max") && !swapping() {
			w.merge(m.settle(want).only(memorySwap)) // a kernel that can't swap keeps any limit on it
			continue
		}
		if err := readLimit(w, f.it, dir, f.file); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (m memoryV2) write(dir string, w wishes) error {
	s := m.settle(w)
	if err := makeRoom(dir, s); err != nil {
		return err
	}
	for _, f := range memoryV2Files {
		_, limited := s[f.it]
		if f.it == memorySwap && !swapping() {
			limited = limited && exists(dir, f.file)
		}
		if err := writeIfOther(dir, f.file, s.text(f.it, unlimited), limited); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom takes memory back until the new limit fits, or refuses it: v2 accepts
// a limit below what is in use and then kills whoever holds it. A process that
// grows just between the look and the write can still be killed, as it would a
// moment later.
func makeRoom(dir string, s wishes) error {
	limit, ok := s[memoryMax]
	if !ok {
		return nil
	}
	for try := 0; ; try++ {
		w := wishes{}
		if err := readLimit(w, memoryMax, dir, "memory.current"); err != nil {
			return err
		}
		used := w[memoryMax]
		if used <= limit {
			return nil
		}
		if try == 3 {
			return fmt.Errorf("set memory.max to %d bytes: %w: %d bytes", limit, ErrInUse, used)
		}
		// Since kernel 5.19; EAGAIN says that not all could be had.
		err := writeFile(dir, "memory.reclaim", strconv.FormatUint(used-limit, 10))
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// memoryV1 is memory.limit_in_bytes and memory.memsw.limit_in_bytes, the sum of
// memory and swap. It has no memory.high: the soft limit is something else, a
// hint for when the whole machine is short.
type memoryV1 struct{}

const (
	limitV1 = "memory.limit_in_bytes"
	memswV1 = "memory.memsw.limit_in_bytes"
)

func (memoryV1) items() []item { return []item{memoryMax, memorySwap} }

func (memoryV1) settle(w wishes) wishes {
	s := settlePages(w, memoryMax)
	if sum, ok := memsw(w); ok && s[memoryMax] > 0 {
		s[memorySwap] = sum - s[memoryMax]
	}
	return s
}

// memsw is the limit of memory and swap together that w means. Without both
// there is none.
func memsw(w wishes) (uint64, bool) {
	memory, ok := w[memoryMax]
	swap, okSwap := w[memorySwap]
	if !ok || !okSwap || memory > math.MaxInt64 || swap > math.MaxInt64 {
		return 0, false
	}
	return pages(memory + swap)
}

func (m memoryV1) read(dir string, want wishes) (wishes, error) {
	raw := wishes{}
	if err := readLimit(raw, memoryMax, dir, limitV1); err != nil {
		return nil, err
	}
	if err := readLimit(raw, memorySwap, dir, memswV1); err != nil {
		return nil, err
	}
	w := settlePages(raw, memoryMax)
	sum, limited := pages(raw[memorySwap])
	_, there := raw[memorySwap]
	switch {
	case there && limited:
		w[memorySwap] = sum - min(sum, w[memoryMax])
	case !there && exists(dir, limitV1) && !swapping():
		w.merge(m.settle(want).only(memorySwap)) // a kernel that can't swap keeps any limit on it
	}
	if !w.is(settlePages(want, memoryMax), memoryMax) {
		return w, nil
	}
	odd, err := oddSockets(dir, want)
	if odd != nil {
		delete(w, memoryMax)
		w.merge(odd)
	}
	return w, err
}

// write changes the two limits in the order in which memory never exceeds the
// sum, as the kernel insists.
func (memoryV1) write(dir string, w wishes) error {
	s := settlePages(w, memoryMax)
	_, limited := s[memoryMax]
	setMemory := func() error { return writeBytes(dir, limitV1, s.text(memoryMax, "-1"), limited) }
	sum, sumLimited := memsw(w)
	sumText := "-1"
	if sumLimited {
		sumText = strconv.FormatUint(sum, 10)
	}
	setSum := func() error { return writeBytes(dir, memswV1, sumText, sumLimited && swapping()) }

	now := wishes{}
	if err := readLimit(now, memorySwap, dir, memswV1); err != nil {
		return err
	}
	first, second := setMemory, setSum
	if !sumLimited || sum >= now[memorySwap] {
		first, second = setSum, setMemory
	}
	if err := first(); err != nil {
		return err
	}
	if err := second(); err != nil {
		return err
	}
	return limitSockets(dir, w)
}

// writeBytes writes a v1 memory limit. The kernel takes back what it can, and
// answers EBUSY if that is not enough.
func writeBytes(dir, file, text string, limited bool) error {
	if err := writeIfOther(dir, file, text, limited); errors.Is(err, unix.EBUSY) {
		used, _ := readFile(dir, "memory.usage_in_bytes")
		return fmt.Errorf("set memory.max to %s bytes: %w: %s bytes", text, ErrInUse, used)
	} else if err != nil {
		return err
	}
	return nil
}

// swapping reports whether this host has any swap switched on: proc_swaps(5), a
// heading and a line for each. What can't be read may be.
func swapping() bool {
	text, err := readFile("/proc", "swaps")
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // no such file: a kernel without swap
	}
	for i, c := range text {
		if c == '\n' && i+1 < len(text) {
			return true
		}
	}
	return false
}
