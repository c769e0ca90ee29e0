package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// bandwidths are the I/O limits that are set for each device, with the names of
// their v2 keys and their v1 files.
var bandwidths = []struct {
	it   item
	key  string // in io.max
	file string // v1
}{
	{ioReadBPS, "rbps", "blkio.throttle.read_bps_device"},
	{ioWriteBPS, "wbps", "blkio.throttle.write_bps_device"},
	{ioReadIOPS, "riops", "blkio.throttle.read_iops_device"},
	{ioWriteIOPS, "wiops", "blkio.throttle.write_iops_device"},
}

var ioItems = []item{ioWeight, ioReadBPS, ioWriteBPS, ioReadIOPS, ioWriteIOPS}

// bfqWeight turns a v2 weight, 1..10000, into one of BFQ's, 1..1000. Both have
// 100 as the default: below it they are the same, above it a step of BFQ's is
// eleven of v2's.
func bfqWeight(weight uint64) uint64 {
	if weight <= defaultWeight {
		return weight
	}
	return defaultWeight + (weight-defaultWeight+5)/11
}

// weightOfBFQ turns a weight of BFQ's into the v2 weight in the middle of those
// that become it.
func weightOfBFQ(bfq uint64) uint64 {
	if bfq <= defaultWeight {
		return bfq
	}
	return defaultWeight + (bfq-defaultWeight)*11
}

// perDevice are limits by device, "8:0".
type perDevice map[string]wishes

// differing sums up what holds at several places: of each limit the value that
// one of them has and want has not, else what want has. With no place at all,
// nothing is limited.
func differing(want wishes, places []wishes) wishes {
	out := wishes{}
	for _, b := range bandwidths {
		for i, w := range places {
			if i > 0 && w.is(want, b.it) {
				continue
			}
			delete(out, b.it)
			if v, limited := w[b.it]; limited {
				out[b.it] = v
			}
			if !w.is(want, b.it) {
				break
			}
		}
	}
	return out
}

// places lists the limits on devices that have some, and on devs whether they
// have or not.
func (p perDevice) places(devs []device) []wishes {
	var all []wishes
	for _, d := range devs {
		all = append(all, p[d.String()]) // nil: nothing is limited
	}
	for _, dev := range slices.Sorted(maps.Keys(p)) {
		all = append(all, p[dev])
	}
	return all
}

// ioV1 is the throttling and the BFQ files of blkio. Throttling knows no
// hierarchy in v1: a limit holds for the processes of its own group only, each
// group for itself. So it is written to, and looked for in, every group below
// too; Host.Sync does so for groups that are made later.
type ioV1 struct{ devs []device }

func (ioV1) items() []item { return ioItems }

func (ioV1) settle(w wishes) wishes {
	s := w.only(ioItems...)
	if v, ok := s[ioWeight]; ok {
		s[ioWeight] = weightOfBFQ(bfqWeight(v))
	}
	s.drop(ioWeight, defaultWeight)
	return s
}

func (c ioV1) read(dir string, want wishes) (wishes, error) {
	var all []wishes
	err := walk(dir, func(dir string) error {
		per, err := readThrottles(dir)
		all = append(all, per.places(c.devs)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	w := differing(c.settle(want), all)
	return w, readBFQ(w, dir, "blkio.bfq.weight")
}

// readBFQ reads BFQ's weight of the group: "100" or "default 100", and lines for
// single devices, which Blast does not write.
func readBFQ(w wishes, dir, file string) error {
	text, err := readFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(text, "\n")
	n, err := strconv.ParseUint(strings.TrimPrefix(first, "default "), 10, 64)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if n != defaultWeight {
		w[ioWeight] = weightOfBFQ(n)
	}
	return nil
}

// readThrottles reads lines of "8:0 1048576" from v1's four files.
func readThrottles(dir string) (perDevice, error) {
	per := perDevice{}
	for _, b := range bandwidths {
		text, err := readFile(dir, b.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) != 2 {
				continue
			}
			n, err := strconv.ParseUint(f[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", b.file, err)
			}
			if per[f[0]] == nil {
				per[f[0]] = wishes{}
			}
			per[f[0]][b.it] = n
		}
	}
	return per, nil
}

func (c ioV1) write(dir string, w wishes) error {
	if err := c.throttle(dir, w); err != nil {
		return err
	}
	weight, limited := c.settle(w)[ioWeight]
	if !limited {
		weight = defaultWeight
	}
	return writeWeight(dir, "blkio.bfq.weight", bfqWeight(weight), limited)
}

// throttle writes the bandwidths of w to dir and every group below it.
func (c ioV1) throttle(dir string, w wishes) error {
	return walk(dir, func(dir string) error {
		now, err := readThrottles(dir)
		if err != nil {
			return err
		}
		for dev, want := range wanted(c.devs, now, w) {
			for _, b := range bandwidths {
				if now[dev].is(want, b.it) {
					continue
				}
				if err := writeFile(dir, b.file, dev+" "+want.text(b.it, "0")); err != nil { // 0 lifts it
					return err
				}
			}
		}
		return nil
	})
}

// wanted are the limits for the devices that they are meant for, and none for
// those that have some left from another time.
func wanted(devs []device, now perDevice, s wishes) perDevice {
	out := perDevice{}
	for dev := range now {
		out[dev] = wishes{}
	}
	for _, d := range devs {
		out[d.String()] = s
	}
	return out
}

// writeWeight writes a weight unless the file has it. See readBFQ for its form.
func writeWeight(dir, file string, weight uint64, limited bool) error {
	text := strconv.FormatUint(weight, 10)
	now, err := readFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) && !limited {
		return nil
	}
	if first, _, _ := strings.Cut(now, "\n"); err == nil && strings.TrimPrefix(first, "default ") == text {
		return nil
	}
	return writeFile(dir, file, text)
}

// ioV2 is io.max, and io.weight (iocost) or io.bfq.weight: each has effect only
// where its own scheduler works, so both are set where they are.
type ioV2 struct{ devs []device }

func (ioV2) items() []item { return ioItems }

func (ioV2) settle(w wishes) wishes {
	s := w.only(ioItems...)
	s.drop(ioWeight, defaultWeight)
	for _, it := range []item{ioReadIOPS, ioWriteIOPS} {
		if s[it] >= math.MaxUint32 {
			delete(s, it) // the kernel clamps to 32 bits, and shows "max"
		}
	}
	for it, v := range s {
		if v == math.MaxUint64 {
			delete(s, it)
		}
	}
	return s
}

func (c ioV2) read(dir string, want wishes) (wishes, error) {
	per, err := readMax(dir)
	if err != nil {
		return nil, err
	}
	want = c.settle(want)
	w := differing(want, per.places(c.devs))
	weight, err := c.readWeight(dir, want)
	w.merge(weight)
	return w, err
}

// readWeight reads both weights, of which one that differs from want counts.
func (ioV2) readWeight(dir string, want wishes) (wishes, error) {
	cost, bfq := wishes{}, wishes{}
	if err := readBFQ(bfq, dir, "io.bfq.weight"); err != nil {
		return nil, err
	}
	text, err := readFile(dir, "io.weight")
	if errors.Is(err, fs.ErrNotExist) {
		if bfqMeans(bfq, want) {
			return want.only(ioWeight), nil
		}
		return bfq, nil
	}
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(text, "\n")
	n, err := strconv.ParseUint(strings.TrimPrefix(first, "default "), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read io.weight: %w", err)
	}
	if n != defaultWeight {
		cost[ioWeight] = n
	}
	if exists(dir, "io.bfq.weight") && cost.is(want, ioWeight) && !bfqMeans(bfq, want) {
		return bfq, nil
	}
	return cost, nil
}

// bfqMeans reports whether a weight read from BFQ is the one that want becomes.
func bfqMeans(bfq, want wishes) bool {
	weight, ok := want[ioWeight]
	if !ok {
		weight = defaultWeight
	}
	got, ok := bfq[ioWeight]
	if !ok {
		got = defaultWeight
	}
	return got == weightOfBFQ(bfqWeight(weight))
}

// readMax reads lines of "8:0 rbps=1048576 wbps=max riops=max wiops=max".
func readMax(dir string) (perDevice, error) {
	per := perDevice{}
	text, err := readFile(dir, "io.max")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		w := wishes{}
		for _, pair := range f[1:] {
			key, value, _ := strings.Cut(pair, "=")
			for _, b := range bandwidths {
				if b.key != key || value == unlimited {
					continue
				}
				if w[b.it], err = strconv.ParseUint(value, 10, 64); err != nil {
					return nil, fmt.Errorf("read io.max: %w", err)
				}
			}
		}
		per[f[0]] = w
	}
	return per, nil
}

func (c ioV2) write(dir string, w wishes) error {
	s := c.settle(w)
	now, err := readMax(dir)
	if err != nil {
		return err
	}
	for dev, want := range wanted(c.devs, now, s) {
		line, same := dev, true
		for _, b := range bandwidths {
			line += " " + b.key + "=" + want.text(b.it, unlimited)
			same = same && now[dev].is(want, b.it)
		}
		if same {
			continue
		}
		if err := writeFile(dir, "io.max", line); err != nil {
			return err
		}
	}
	weight, limited := s[ioWeight]
	if !limited {
		weight = defaultWeight
	}
	if limited && !exists(dir, "io.weight") && !exists(dir, "io.bfq.weight") {
		return errors.New("set io.weight: this kernel has neither io.weight nor io.bfq.weight")
	}
	if exists(dir, "io.weight") {
		if err := writeWeight(dir, "io.weight", weight, limited); err != nil {
			return err
		}
	}
	if exists(dir, "io.bfq.weight") {
		return writeWeight(dir, "io.bfq.weight", bfqWeight(weight), limited)
	}
	return nil
}
