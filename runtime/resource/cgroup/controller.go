package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// A controller is one of the kernel's, in one version: how limits become the
// text of its files and back.
type controller interface {
	// items are the limits that it holds.
	items() []item
	// settle returns what read returns once w is in force: rounded as the
	// kernel does, without what equals its defaults.
	settle(w wishes) wishes
	// read returns the limits that are in force in dir. Where the kernel holds
	// one limit in several places, it is one that differs from want, if any.
	// A missing file means that nothing is limited.
	read(dir string, want wishes) (wishes, error)
	// write brings w into force in dir, whatever was there before.
	write(dir string, w wishes) error
}

// A place is a controller and the hierarchy that has it.
type place struct {
	hierarchy
	name string // as in cgroup.controllers or mount options: "blkio"
	controller
}

// family is a controller by its v2 name in both versions.
type family struct {
	v1, v2 string
	items  []item
}

var families = []family{
	{"cpu", "cpu", []item{cpuQuota, cpuPeriod, cpuWeight}},
	{"memory", "memory", []item{memoryMax, memoryHigh, memorySwap}},
	{"blkio", "io", []item{ioWeight, ioReadBPS, ioWriteBPS, ioReadIOPS, ioWriteIOPS}},
	{"pids", "pids", []item{pidsMax}},
}

// places finds a home for each family. One without is left out.
func places(hs []hierarchy, devs []device) []place {
	var out []place
	for _, f := range families {
		for _, h := range hs {
			name := f.v1
			if h.v2 {
				name = f.v2
			}
			if h.has(name) {
				out = append(out, place{h, name, newController(f.v2, h.v2, devs)})
				break
			}
		}
	}
	return out
}

func newController(name string, v2 bool, devs []device) controller {
	switch {
	case name == "cpu" && v2:
		return cpuV2{}
	case name == "cpu":
		return cpuV1{}
	case name == "memory" && v2:
		return memoryV2{}
	case name == "memory":
		return memoryV1{}
	case name == "io" && v2:
		return ioV2{devs}
	case name == "io":
		return ioV1{devs}
	}
	return pids{}
}

// homeless returns the wishes for which this host has no controller.
func homeless(ps []place, w wishes) []item {
	var out []item
	for _, it := range items {
		if _, ok := w[it]; ok && !slices.ContainsFunc(ps, func(p place) bool { return slices.Contains(p.items(), it) }) {
			out = append(out, it)
		}
	}
	return out
}

// unlimited is how a v2 file and pids.max say that there is no limit.
const unlimited = "max"

// readLimit reads a file of one number or "max" into w.
func readLimit(w wishes, it item, dir, file string) error {
	text, err := readFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (text == unlimited || text == "-1") {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	w[it] = n
	return nil
}

// text is the number that w holds for it, or what stands for none.
func (w wishes) text(it item, none string) string {
	if v, ok := w[it]; ok {
		return strconv.FormatUint(v, 10)
	}
	return none
}

// writeIfOther writes text unless the file reads so already. Without a limit a
// missing file will do.
func writeIfOther(dir, file, text string, limited bool) error {
	now, err := readFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) && !limited {
		return nil
	}
	if err == nil && strings.Join(strings.Fields(now), " ") == text {
		return nil
	}
	return writeFile(dir, file, text)
}

// merge adds other's items to w.
func (w wishes) merge(other wishes) {
	for it, v := range other {
		w[it] = v
	}
}
