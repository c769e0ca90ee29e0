package cgroup

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/resource"
)

// problems returns Check's reasons by item.
func problems(t *testing.T, o plan.Object) map[string]string {
	t.Helper()
	env := newEnv(t)
	found, err := Host{}.Check(t.Context(), env, []plan.Object{o})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range found {
		if p.Addr != o.Addr || p.Fix == "" {
			t.Errorf("incomplete problem: %+v", p)
		}
		out[p.Item] = p.Reason
	}
	return out
}

func TestCheckAcceptsWhatCanBeEnforced(t *testing.T) {
	l := resource.Limits{
		CPU:    &resource.CPU{QuotaUS: ptr[int64](50_000), PeriodUS: ptr[uint64](100_000), Weight: ptr[uint64](1)},
		Memory: &resource.Memory{Max: ptr[int64](256 << 20), Swap: ptr[int64](0)},
		IO:     &resource.IO{ReadBPS: ptr[uint64](1 << 20), ReadIOPS: ptr[uint64](100)},
		PIDs:   ptr[int64](128),
	}
	if home(t, memoryHigh).v2 {
		l.Memory.High = ptr[int64](200 << 20)
		l.IO.WriteBPS, l.IO.WriteIOPS = ptr[uint64](1<<20), ptr[uint64](100)
	}
	if got := problems(t, object(l)); len(got) > 0 {
		t.Errorf("Check = %v", got)
	}
}

func TestCheckNamesWhatV1Lacks(t *testing.T) {
	needRoot(t)
	if home(t, memoryHigh).v2 || home(t, ioWriteBPS).v2 {
		t.Skip("memory and blkio are in cgroup v2 here, which has all of these")
	}
	got := problems(t, object(resource.Limits{
		Memory: &resource.Memory{High: ptr[int64](1 << 30), Swap: ptr[int64](0)},
		IO:     &resource.IO{WriteBPS: ptr[uint64](1 << 20), WriteIOPS: ptr[uint64](10)},
	}))
	for item, part := range map[string]string{
		"memory.high": "cgroup v1 has no memory.high", "memory.swap": "memory and swap together",
		"io.write_bps": "direct and synchronous", "io.write_iops": "direct and synchronous",
	} {
		if !strings.Contains(got[item], part) {
			t.Errorf("%s: %q, want %q", item, got[item], part)
		}
	}
}

func TestCheckRefusesNonsense(t *testing.T) {
	got := problems(t, object(resource.Limits{
		CPU:    &resource.CPU{QuotaUS: ptr[int64](999), PeriodUS: ptr[uint64](1_000_001), Weight: ptr[uint64](10_001)},
		Memory: &resource.Memory{Max: ptr[int64](1 << 20)},
		IO:     &resource.IO{ReadBPS: ptr[uint64](0), ReadIOPS: ptr[uint64](math.MaxUint32)},
		PIDs:   ptr[int64](0),
	}))
	want := []string{"cpu.period", "cpu.quota", "cpu.weight", "io.read_bps", "io.read_iops", "memory.max", "pids.max"}
	if items := slices.Sorted(maps.Keys(got)); !slices.Equal(items, want) {
		t.Errorf("problems of %v, want %v", items, want)
	}
}

// 16 processes are enough on a machine with two CPUs, and Go has more threads on
// larger ones: what is allowed has to work on all.
func TestCheckLeavesRoomForInit(t *testing.T) {
	for n, fine := range map[int64]bool{1: false, 8: false, 31: false, 32: true} {
		got := problems(t, object(resource.Limits{PIDs: ptr(n)}))
		if reason, refused := got["pids.max"]; refused == fine {
			t.Errorf("%d: %v", n, reason)
		}
	}
}

// What a person wrote may not exceed the machine; a default may.
func TestCheckComparesWithTheMachine(t *testing.T) {
	l := resource.Limits{
		CPU:    &resource.CPU{QuotaUS: ptr[int64](100_000_000)},
		Memory: &resource.Memory{Max: ptr[int64](1 << 50), Swap: ptr[int64](1 << 50)},
		PIDs:   ptr[int64](1 << 23),
	}
	want := []string{"cpu.quota", "memory.max", "memory.swap", "pids.max"}
	if items := slices.Sorted(maps.Keys(problems(t, object(l)))); !slices.Equal(items, want) {
		t.Errorf("problems of %v, want %v", items, want)
	}
	o := plan.NewObject(resource.LimitsAddr, l, map[string]string{"": "blast.hcl:1", "memory.max": "blast.hcl:3"})
	if items := slices.Sorted(maps.Keys(problems(t, o))); !slices.Equal(items, []string{"memory.max"}) {
		t.Errorf("with defaults: problems of %v", items)
	}
}

func TestCheckNeedsADisk(t *testing.T) {
	env := newEnv(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, 0) }()
	env.Project, env.Dir = dir, filepath.Join(dir, ".blast", "test")
	l := resource.Limits{IO: &resource.IO{ReadBPS: ptr[uint64](1 << 20)}}
	found, err := Host{}.Check(t.Context(), env, []plan.Object{object(l)})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Reason, "is on tmpfs: no block device") {
		t.Errorf("Check = %v, %v", found, err)
	}
	if err := (Host{}).Apply(t.Context(), env, change(nil, &l)); err == nil {
		t.Error("Apply took a bandwidth that it can't enforce")
	}
}

func TestCheckRlimits(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	limits := resource.Rlimits{
		"nofile": {Soft: own.Max, Hard: own.Max}, "core": {}, "cpu": {Soft: 60, Hard: 60}, // the control
		"rss": {}, "nofiles": {}, "nproc": {Soft: 2, Hard: 1},
	}
	got := problems(t, plan.NewObject(resource.RlimitsAddr, limits, nil))
	want := []string{"rlimit.nofiles", "rlimit.nproc", "rlimit.rss"}
	if items := slices.Sorted(maps.Keys(got)); !slices.Equal(items, want) {
		t.Errorf("problems of %v, want %v", got, want)
	}
	if own.Max == math.MaxUint64 {
		return
	}
	limits = resource.Rlimits{"nofile": {Soft: 1, Hard: own.Max + 1}}
	if got := problems(t, plan.NewObject(resource.RlimitsAddr, limits, nil)); !strings.Contains(got["rlimit.nofile"], "hard limit of Blast's daemon") {
		t.Errorf("above the hard limit: %v", got)
	}
}

// A partition is throttled on its disk.
func TestPartitionBecomesItsDisk(t *testing.T) {
	needRoot(t)
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 4<<20); err != nil {
		t.Fatal(err)
	}
	node := attachLoop(t, image)
	run(t, "addpart", node, "1", "2048", "2048") // sectors; not every kernel reads partition tables
	defer run(t, "delpart", node, "1")
	disk, err := nodeOf(node)
	if err != nil {
		t.Fatal(err)
	}
	part, err := deviceIn(filepath.Join(disk.sys(), disk.name()+"p1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := part.whole(); err != nil || got != disk || part == disk {
		t.Errorf("disk of %v = %v, %v; want %v", part, got, err, disk)
	}
}
