package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/state"
)

// samples are limits that every host of ours enforces; odd numbers where the
// kernel rounds.
func samples(t *testing.T) map[string]*resource.Limits {
	t.Helper()
	s := map[string]*resource.Limits{
		"nothing": nil,
		"empty":   {},
		"hollow":  {CPU: &resource.CPU{}, Memory: &resource.Memory{}, IO: &resource.IO{}},
		"small": {
			CPU:    &resource.CPU{QuotaUS: ptr[int64](20_000), PeriodUS: ptr[uint64](50_000), Weight: ptr[uint64](37)},
			Memory: &resource.Memory{Max: ptr[int64](100_000_001), Swap: ptr[int64](0)},
			IO:     &resource.IO{ReadBPS: ptr[uint64](1 << 20), WriteIOPS: ptr[uint64](100)},
			PIDs:   ptr[int64](64),
		},
		"large": {
			CPU:    &resource.CPU{QuotaUS: ptr[int64](150_000), Weight: ptr[uint64](10_000)},
			Memory: &resource.Memory{Max: ptr[int64](1 << 30), Swap: ptr[int64](64<<20 + 5)},
			IO:     &resource.IO{ReadBPS: ptr[uint64](5 << 20), WriteBPS: ptr[uint64](9 << 20), ReadIOPS: ptr[uint64](500)},
			PIDs:   ptr[int64](512),
		},
		"defaults": {
			CPU:    &resource.CPU{PeriodUS: ptr[uint64](100_000), Weight: ptr[uint64](100)},
			Memory: &resource.Memory{Max: ptr[int64](1 << 62)},
			IO:     &resource.IO{},
		},
	}
	if home(t, memoryMax).v2 {
		s["small"].Memory.High = ptr[int64](90_000_001)
	}
	return s
}

// Twice is once, reversed is before, and Observe sees what Apply writes, between
// all pairs of states.
func TestConformance(t *testing.T) {
	env := newEnv(t)
	all := samples(t)
	for nameA, a := range all {
		for nameB, b := range all {
			if !t.Run(nameA+" to "+nameB, func(t *testing.T) {
				apply(t, env, change(nil, a))
				mustSee(t, env, a)
				c := change(a, b)
				for range 2 {
					apply(t, env, c)
					mustSee(t, env, b)
				}
				for range 2 {
					apply(t, env, c.Reverse())
					mustSee(t, env, a)
				}
				apply(t, env, c)
				commit(t, env, c)
				mustSee(t, env, b)
			}) {
				return
			}
		}
	}
}

func commit(t *testing.T, env state.Env, c plan.Change) {
	t.Helper()
	if err := (Host{}).Commit(t.Context(), env, c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// A dead Apply leaves any prefix of its writes. Each is made here by cutting the
// real one short: directories without files' values, some values without others,
// all without the note.
func TestFromHalfWay(t *testing.T) {
	env := newEnv(t)
	all := samples(t)
	a, b := all["small"], all["large"]
	wa, errA := flatten(*a)
	wb, errB := flatten(*b)
	devs, errD := devicesFor(env, wb)
	if err := errors.Join(errA, errB, errD); err != nil {
		t.Fatal(err)
	}
	hs := mounted(t)
	stages := len(places(hs, devs))
	for _, from := range []*resource.Limits{nil, a} {
		for stage := range stages + 1 {
			for _, back := range []bool{false, true} {
				apply(t, env, change(nil, from))
				for i, p := range places(hs, devs)[:stage] {
					if err := p.makeGroup(env.Cgroup, []string{p.name}); err != nil {
						t.Fatal(err)
					}
					dir := filepath.Join(p.root, env.Cgroup)
					if i == stage-1 && from != nil { // this one died within: only one of its limits is new
						mix := wa.only(items...)
						mix.merge(wb.only(p.items()[0]))
						if err := p.write(dir, mix); err != nil {
							t.Fatal(err)
						}
						continue
					}
					if err := p.write(dir, wb); err != nil {
						t.Fatal(err)
					}
				}
				c, want := change(from, b), b
				if back {
					c, want = c.Reverse(), from
				}
				apply(t, env, c)
				mustSee(t, env, want)
				commit(t, env, c)
				mustSee(t, env, want)
				if want == nil {
					mustBeGone(t, env)
				}
				end := change(want, nil)
				apply(t, env, end)
				commit(t, env, end)
				mustBeGone(t, env)
			}
		}
	}
}

func mustBeGone(t *testing.T, env state.Env) {
	t.Helper()
	for _, h := range mounted(t) {
		if exists(h.root, env.Cgroup) {
			t.Fatalf("%s%s is still there", h.root, env.Cgroup)
		}
	}
}

// Every file that Blast writes, changed by hand, is seen; Apply mends it.
func TestTamperingIsSeen(t *testing.T) {
	env := newEnv(t)
	want := samples(t)["large"]
	apply(t, env, change(nil, want))
	mustSee(t, env, want)
	devs, err := backing(env.Project)
	if err != nil {
		t.Fatal(err)
	}
	dev := devs[0].String()
	texts := map[string][]string{
		"cpu.cfs_quota_us": {"90000", "-1"}, "cpu.cfs_period_us": {"200000"}, "cpu.shares": {"2048", "102397", "1024", "1020", "2"},
		limitV1: {"512M"}, memswV1: {"-1", "2G"}, "pids.max": {"513", "max"},
		"blkio.throttle.read_bps_device":   {dev + " 0", dev + " 6000000"},
		"blkio.throttle.write_bps_device":  {dev + " 0"},
		"blkio.throttle.read_iops_device":  {dev + " 501"},
		"blkio.throttle.write_iops_device": {dev + " 7"},
		"blkio.bfq.weight":                 {"101", "10"},
		"cpu.max":                          {"max 100000", "150000 99999"}, "cpu.weight": {"100", "9999"},
		"memory.max": {"max", "512M"}, "memory.high": {"512M"}, "memory.swap.max": {"max", "0"},
		"io.max":        {dev + " rbps=max", dev + " wbps=2", dev + " riops=max", dev + " wiops=7"},
		"io.weight":     {"default 101"},
		"io.bfq.weight": {"101"},
	}
	seen := 0
	for file, values := range texts {
		for _, p := range places(mounted(t), nil) {
			dir := filepath.Join(p.root, env.Cgroup)
			if !exists(dir, file) || file == "memory.max" && !p.v2 {
				continue
			}
			for _, text := range values {
				if err := writeFile(dir, file, text); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if got := observed(t, env); got == string(object(*want).Attrs) {
					t.Errorf("%s = %s by hand: not seen", file, text)
				}
				apply(t, env, change(want, want))
				mustSee(t, env, want)
				seen++
			}
			break
		}
	}
	if seen < 12 {
		t.Errorf("only %d changes tried", seen)
	}
	for _, p := range places(mounted(t), nil) {
		if err := os.Remove(filepath.Join(p.root, env.Cgroup)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if got := observed(t, env); got != "" {
			t.Errorf("%s cgroup removed by hand: Observe says %s", p.name, got)
		}
		apply(t, env, change(nil, want))
		mustSee(t, env, want)
	}
}

// A reading is the kernel's, not the note's.
func TestObserveReportsTheKernelsValue(t *testing.T) {
	env := newEnv(t)
	apply(t, env, change(nil, &resource.Limits{PIDs: ptr[int64](64)}))
	p := home(t, pidsMax)
	if err := writeFile(filepath.Join(p.root, env.Cgroup), "pids.max", "77"); err != nil {
		t.Fatal(err)
	}
	mustSee(t, env, &resource.Limits{PIDs: ptr[int64](77)})
	m := home(t, memoryMax)
	file := limitV1
	if m.v2 {
		file = "memory.max"
	}
	if err := writeFile(filepath.Join(m.root, env.Cgroup), file, strconv.Itoa(64<<20)); err != nil {
		t.Fatal(err)
	}
	mustSee(t, env, &resource.Limits{PIDs: ptr[int64](77), Memory: &resource.Memory{Max: ptr[int64](64 << 20)}})
}

func TestDeletionIsFinalOnlyInCommit(t *testing.T) {
	env := newEnv(t)
	want := samples(t)["small"]
	apply(t, env, change(nil, want))
	cmd := inside(t, env, "/bin/sleep", "1000")
	cmd.Stdout = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitIn(t, env, cmd.Process.Pid)

	del := change(want, nil)
	apply(t, env, del)
	mustSee(t, env, nil)
	apply(t, env, del.Reverse()) // the process is still in it, and limited
	mustSee(t, env, want)
	if !exists("/proc", strconv.Itoa(cmd.Process.Pid)) {
		t.Fatal("the process ended before Commit")
	}

	apply(t, env, del)
	for range 2 {
		commit(t, env, del)
		mustBeGone(t, env)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process in the group: %v, want killed", err)
	}
}

// awaitIn waits until a process has entered the group: its pid shows up where
// the kernel lists it. The shell in between has nothing else to tell it by.
func awaitIn(t *testing.T, env state.Env, pid int) {
	t.Helper()
	for range 10_000 {
		all := true
		for _, dir := range leaf(t, env) {
			text, err := readFile(dir, "cgroup.procs")
			if err != nil {
				t.Fatal(err)
			}
			all = all && strings.Contains("\n"+text+"\n", "\n"+strconv.Itoa(pid)+"\n")
		}
		if all {
			return
		}
	}
	t.Fatal("the process never entered the group")
}

// Frozen processes and ones that fork all the time end too.
func TestCommitEndsStubbornProcesses(t *testing.T) {
	env := newEnv(t)
	apply(t, env, change(nil, &resource.Limits{PIDs: ptr[int64](100)}))
	for _, h := range mounted(t) { // as libcontainer does, wherever it can
		if h.has("freezer") {
			if err := h.makeGroup(env.Cgroup, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	frozen := inside(t, env, "/bin/sleep", "1000")
	forking := inside(t, env, "/bin/sh", "-c", "while :; do (exec sleep 0.01) & done 2>/dev/null")
	for _, cmd := range []interface{ Start() error }{frozen, forking} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	awaitIn(t, env, frozen.Process.Pid)
	awaitIn(t, env, forking.Process.Pid)
	wasFrozen := false
	for _, dir := range leaf(t, env) {
		for file, text := range map[string]string{"freezer.state": "FROZEN", "cgroup.freeze": "1"} {
			if exists(dir, file) {
				wasFrozen = wasFrozen || writeFile(dir, file, text) == nil
			}
		}
	}
	if !wasFrozen {
		t.Fatal("nothing to freeze with")
	}
	commit(t, env, plan.Change{Addr: resource.LimitsAddr})
	mustBeGone(t, env)
	for _, cmd := range []interface{ Wait() error }{frozen, forking} {
		if err := cmd.Wait(); err == nil {
			t.Error("a process ended by itself")
		}
	}
}

// A bad record must never make Blast end the machine's own processes.
func TestRootCgroupIsRefused(t *testing.T) {
	for _, group := range []string{"", "/", "/blast", "blast/x", "/blast/..", "/blast/../x", "/a//b", "/a/b/"} {
		env := state.Env{Cgroup: group, Run: t.TempDir()}
		if err := (Host{}).Commit(t.Context(), env, plan.Change{Addr: resource.LimitsAddr}); err == nil {
			t.Errorf("Commit removed cgroup %q", group)
		}
		if err := (Host{}).Apply(t.Context(), env, change(nil, &resource.Limits{})); err == nil {
			t.Errorf("Apply made cgroup %q", group)
		}
	}
}

func TestRlimits(t *testing.T) {
	env := newEnv(t)
	rl := func(n uint64) plan.Object {
		return plan.NewObject(resource.RlimitsAddr, resource.Rlimits{"nofile": {Soft: n, Hard: 4096}, "core": {}}, nil)
	}
	seen := func() string {
		objs, err := Host{}.Observe(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		if len(objs) == 0 {
			return ""
		}
		return string(objs[0].Attrs)
	}
	create := plan.Change{Addr: resource.RlimitsAddr, To: rl(64).Attrs}
	update := plan.Change{Addr: resource.RlimitsAddr, From: rl(64).Attrs, To: rl(128).Attrs}
	for _, step := range []struct {
		c    plan.Change
		want string
	}{
		{create, string(rl(64).Attrs)}, {create, string(rl(64).Attrs)},
		{update, string(rl(128).Attrs)}, {update.Reverse(), string(rl(64).Attrs)},
		{create.Reverse(), ""}, {create.Reverse(), ""},
	} {
		apply(t, env, step.c)
		if got := seen(); got != step.want {
			t.Errorf("Observe = %s, want %s", got, step.want)
		}
	}
	apply(t, env, update)
	d, err := command.Load(env)
	if err != nil {
		t.Fatal(err)
	}
	if d.Rlimits["nofile"] != (resource.Rlimit{Soft: 128, Hard: 4096}) {
		t.Errorf("a command would get %v", d.Rlimits)
	}
}
