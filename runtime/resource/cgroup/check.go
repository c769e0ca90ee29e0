package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/state"
)

// Check finds the limits that this host can't enforce or that make no sense on
// it. A default that nobody wrote may exceed the machine's size: the machine is
// a limit of its own then.
func (Host) Check(ctx context.Context, env state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	var all []kinds.Problem
	for _, o := range desired {
		var (
			found []kinds.Problem
			err   error
		)
		switch o.Addr {
		case resource.LimitsAddr:
			found, err = checkLimits(env, o)
		case resource.RlimitsAddr:
			found, err = checkRlimits(o)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, ctx.Err()
}

// An objection is why a limit can't be had, and what to do; the zero value is none.
type objection struct{ reason, fix string }

func checkLimits(env state.Env, o plan.Object) ([]kinds.Problem, error) {
	var l resource.Limits
	if err := o.Decode(&l); err != nil {
		return nil, err
	}
	w, err := flatten(l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Addr, err)
	}
	hs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	machine, err := measure()
	if err != nil {
		return nil, err
	}
	var found []kinds.Problem
	for _, it := range items {
		v, wished := w[it]
		if !wished {
			continue
		}
		obj := impossible(env, hs, it, w)
		if obj == (objection{}) {
			obj = senseless(it, v)
		}
		if obj == (objection{}) && written(o, it) {
			obj = machine.exceeded(it, v, w)
		}
		if obj != (objection{}) {
			found = append(found, kinds.Problem{Addr: o.Addr, Item: string(it), Reason: obj.reason, Fix: obj.fix})
		}
	}
	return found, nil
}

// written reports whether a person wrote the item, as far as the object tells.
func written(o plan.Object, it item) bool {
	_, ok := o.Src[string(it)]
	return ok || o.Src == nil
}

// impossible says what this host lacks for it.
func impossible(env state.Env, hs []hierarchy, it item, w wishes) objection {
	f := familyOf(it)
	i := slices.IndexFunc(places(hs, nil), func(p place) bool { return p.name == f.v1 || p.name == f.v2 })
	if i < 0 {
		return objection{
			fmt.Sprintf("no cgroup hierarchy with the %s controller (%s in v2) is mounted", f.v1, f.v2),
			"Mount cgroups, or switch the controller on in the kernel's command line (cgroup_enable=).",
		}
	}
	home := places(hs, nil)[i]
	if obj := home.denied(); obj != (objection{}) {
		return obj
	}
	switch f.v2 {
	case "memory":
		return home.lacksMemory(it, w)
	case "cpu":
		return home.lacksCPU(it)
	case "io":
		return home.lacksIO(env, it)
	}
	return objection{}
}

func familyOf(it item) family {
	i := slices.IndexFunc(families, func(f family) bool { return slices.Contains(f.items, it) })
	return families[i]
}

// denied says why no group with this controller can be made.
func (p place) denied() objection {
	if err := unix.Access(p.root, unix.W_OK); err != nil {
		return objection{
			fmt.Sprintf("the cgroups at %s can't be changed: %v", p.root, err),
			"In a container, mount them writable (docker run --privileged, or --cgroupns=private with a delegated tree).",
		}
	}
	if !p.v2 {
		return objection{}
	}
	on, err := readFile(p.root, "cgroup.subtree_control")
	if err == nil && slices.Contains(strings.Fields(on), p.name) || !exists(p.root, "cgroup.type") {
		return objection{} // the real root may always hand down
	}
	if procs, err := readFile(p.root, "cgroup.procs"); err != nil || procs != "" {
		return objection{
			fmt.Sprintf("%s has processes of its own, so it can't hand the %s controller down to groups below it", p.root, p.name),
			fmt.Sprintf("Move them first: mkdir %s/init, then write each pid of cgroup.procs to init/cgroup.procs.", p.root),
		}
	}
	return objection{}
}

// sample is a group of the hierarchy other than the root, which lacks files that
// all others have; "" if there is none.
func (h hierarchy) sample(file string) string {
	dirs, _ := filepath.Glob(h.root + "/*/" + file)
	if len(dirs) == 0 {
		return ""
	}
	return filepath.Dir(dirs[0])
}

func (p place) lacksMemory(it item, w wishes) objection {
	if !p.v2 && it == memoryHigh {
		return objection{
			"cgroup v1 has no memory.high; its soft limit is something else, a hint for when the whole machine is short",
			"Remove high, or use a host with cgroup v2.",
		}
	}
	if it != memorySwap {
		return objection{}
	}
	if _, ok := w[memoryMax]; !ok && !p.v2 {
		return objection{"cgroup v1 limits memory and swap together, so it can't limit swap alone", "Write memory.max too."}
	}
	has := exists(p.root, memswV1)
	if p.v2 {
		dir := p.sample("memory.max")
		has = dir == "" || exists(dir, "memory.swap.max")
	}
	if !has && swapping() {
		return objection{"this kernel does not count swap", "Boot with swapaccount=1, or switch swap off (swapoff -a)."}
	}
	return objection{}
}

func (p place) lacksCPU(it item) objection {
	file := "cpu.cfs_quota_us"
	dir := p.root
	if p.v2 {
		file = "cpu.max"
		if dir = p.sample("cpu.weight"); dir == "" {
			return objection{}
		}
	}
	if it != cpuWeight && !exists(dir, file) {
		return objection{
			"this kernel was built without CFS_BANDWIDTH, so there is no " + file,
			"Limit CPU time by weight, or use another kernel.",
		}
	}
	return objection{}
}

// lacksIO needs all disks that bandwidths hold for, or the scheduler of all.
func (p place) lacksIO(env state.Env, it item) objection {
	devs, err := backing(env.Project, env.Dir)
	if errors.Is(err, errNoDevice) {
		return objection{err.Error() + " to limit", "Put the project on a local disk, or remove the line."}
	}
	if err != nil {
		return objection{err.Error(), "Remove the line."}
	}
	switch {
	case it == ioWeight:
		return p.lacksWeight(devs)
	case !p.v2 && !exists(p.root, "blkio.throttle.read_bps_device"),
		p.v2 && p.sample("io.stat") != "" && p.sample("io.max") == "":
		return objection{"this kernel was built without BLK_DEV_THROTTLING", "Remove the line, or use another kernel."}
	case !p.v2 && (it == ioWriteBPS || it == ioWriteIOPS):
		return objection{
			"cgroup v1 throttles direct and synchronous writes only; what goes through the page cache is written back without limit",
			"Remove the line, or use a host with cgroup v2.",
		}
	}
	return objection{}
}

// lacksWeight finds a disk on which nothing looks at weights.
func (p place) lacksWeight(devs []device) objection {
	for _, d := range devs {
		for _, leaf := range d.leaves() {
			if leaf.scheduler() == "bfq" || p.v2 && iocost(p.root, leaf) {
				continue
			}
			return objection{
				fmt.Sprintf("the scheduler of %s is %s; io.weight needs BFQ or, on cgroup v2, iocost", leaf.name(), leaf.scheduler()),
				fmt.Sprintf("Switch it: echo bfq > /sys/block/%s/queue/scheduler; or limit by io.read_bps.", leaf.name()),
			}
		}
	}
	return objection{}
}

// iocost reports whether the io.cost model is on for d: "8:0 enable=1 ctrl=auto ...".
func iocost(root string, d device) bool {
	text, err := readFile(root, "io.cost.qos")
	if err != nil {
		return false
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == d.String() && slices.Contains(f, "enable=1") {
			return true
		}
	}
	return false
}

const (
	minQuotaUS  = 1_000 // the kernel's own bounds, in µs
	minPeriodUS = 1_000
	maxPeriodUS = 1_000_000
	maxWeight   = 10_000
	minRate     = 2       // io.max refuses 0 and 1
	minMemory   = 4 << 20 // below it not even PID 1 starts
	minPIDs     = 32      // threads of PID 1 and of what makes it, with room for a command: of 12, none is left
)

// senseless finds numbers that no host accepts or could work with.
func senseless(it item, v uint64) objection {
	low, high := uint64(0), uint64(math.MaxInt64)
	switch it {
	case cpuQuota:
		low = minQuotaUS
	case cpuPeriod:
		low, high = minPeriodUS, maxPeriodUS
	case cpuWeight, ioWeight:
		low, high = 1, maxWeight
	case memoryMax, memoryHigh:
		low = minMemory
	case ioReadBPS, ioWriteBPS:
		low = minRate
	case ioReadIOPS, ioWriteIOPS:
		low, high = minRate, math.MaxUint32-1
	case pidsMax:
		low = minPIDs
	}
	switch {
	case v < low:
		return objection{fmt.Sprintf("%d is too little", v), fmt.Sprintf("Write at least %d.", low)}
	case v > high:
		return objection{fmt.Sprintf("%d is too much", v), fmt.Sprintf("Write at most %d.", high)}
	}
	return objection{}
}

// capacity is what the machine has.
type capacity struct {
	cpus, memory, swap, pids uint64 // bytes; pids is the end of their range
}

func measure() (capacity, error) {
	var c capacity
	stat, err := readFile("/proc", "stat")
	if err != nil {
		return c, fmt.Errorf("count CPUs: %w", err)
	}
	for line := range strings.Lines(stat) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "cpu") && name != "cpu" {
			c.cpus++
		}
	}
	info, err := readFile("/proc", "meminfo")
	if err != nil {
		return c, fmt.Errorf("measure memory: %w", err)
	}
	for line := range strings.Lines(info) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "MemTotal:" && f[0] != "SwapTotal:" {
			continue
		}
		kib, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			return c, fmt.Errorf("measure memory: %w", err)
		}
		if f[0] == "MemTotal:" {
			c.memory = kib << 10
		} else {
			c.swap = kib << 10
		}
	}
	text, err := readFile("/proc/sys/kernel", "pid_max")
	if err != nil {
		return c, fmt.Errorf("read pid_max: %w", err)
	}
	c.pids, err = strconv.ParseUint(text, 10, 64)
	return c, err
}

// exceeded finds limits that limit nothing, as the machine has less.
func (c capacity) exceeded(it item, v uint64, w wishes) objection {
	switch it {
	case cpuQuota:
		period := w[cpuPeriod]
		if period == 0 {
			period = defaultPeriodUS
		}
		if v > c.cpus*period {
			return objection{
				fmt.Sprintf("%.4g CPUs are more than the %d of this machine", float64(v)/float64(period), c.cpus),
				fmt.Sprintf("Write at most %dus for a period of %dus.", c.cpus*period, period),
			}
		}
	case memoryMax:
		if v > c.memory {
			return objection{fmt.Sprintf("%d bytes are more than this machine has, %d", v, c.memory), "Lower memory.max."}
		}
	case memorySwap:
		if v > c.swap {
			return objection{fmt.Sprintf("%d bytes are more swap than this machine has, %d", v, c.swap), "Lower memory.swap, or add swap."}
		}
	case pidsMax:
		if v > c.pids {
			return objection{fmt.Sprintf("%d processes are more than kernel.pid_max, %d", v, c.pids), fmt.Sprintf("Write at most %d.", c.pids)}
		}
	}
	return objection{}
}
