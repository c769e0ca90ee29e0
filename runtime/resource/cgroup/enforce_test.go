package cgroup

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/resource"
)

// Each test here proves that the kernel enforces a limit, beside a control: the
// same work in the same group, with the limit changed or lifted.

func TestMemoryMaxKillsAHog(t *testing.T) {
	env := newEnv(t)
	tight := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](48 << 20), Swap: ptr[int64](0)}}
	wide := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](256 << 20), Swap: ptr[int64](0)}}
	apply(t, env, change(nil, wide))
	if _, out, killed := outcome(t, acting(t, env, "hog", "96")); killed || out != "touched 96" {
		t.Fatalf("control: 96 MiB under 256 MiB: %q, killed=%v", out, killed)
	}
	apply(t, env, change(wide, tight))
	if _, out, killed := outcome(t, acting(t, env, "hog", "96")); !killed {
		t.Errorf("96 MiB under 48 MiB were not refused: %q", out)
	}
}

func TestPIDsMaxStopsForks(t *testing.T) {
	env := newEnv(t)
	loop := `i=0; while [ $i -lt 40 ]; do sleep 100 >/dev/null 2>&1 <&- & i=$((i+1)); done; echo all; kill $(jobs -p)`
	few, many := &resource.Limits{PIDs: ptr[int64](12)}, &resource.Limits{PIDs: ptr[int64](60)}
	apply(t, env, change(nil, many))
	if _, out, _ := outcome(t, inside(t, env, "/bin/bash", "-c", loop)); out != "all" {
		t.Fatalf("control: 40 processes of 60: %q", out)
	}
	apply(t, env, change(many, few))
	cmd := inside(t, env, "/bin/dash", "-c", loop) // dash gives up at the first failure
	_, out, _ := outcome(t, cmd)
	if strings.Contains(out, "all") || !strings.Contains(out, "fork") {
		t.Errorf("40 processes of 12: %q", out)
	}
}

// cpuTime is how long a process ran on a CPU: the first field of
// /proc/<pid>/schedstat, ns.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := readFile(filepath.Join("/proc", strconv.Itoa(pid)), "schedstat")
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
}

// The limit changes under the running process.
func TestCPUQuotaSlowsASpinnerLive(t *testing.T) {
	env := newEnv(t)
	tenth := &resource.Limits{CPU: &resource.CPU{QuotaUS: ptr[int64](5_000), PeriodUS: ptr[uint64](50_000)}}
	free := &resource.Limits{CPU: &resource.CPU{}}
	apply(t, env, change(nil, tenth))
	cmd := inside(t, env, "/bin/sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitIn(t, env, cmd.Process.Pid)
	// measure until the process has had that much CPU time, or for the whole time.
	share := func() float64 {
		start, before := time.Now(), cpuTime(t, cmd.Process.Pid)
		<-time.After(time.Second)
		return float64(cpuTime(t, cmd.Process.Pid)-before) / float64(time.Since(start))
	}
	limited := share()
	apply(t, env, change(tenth, free))
	control := share()
	apply(t, env, change(free, tenth))
	again := share()
	if limited > 0.2 || again > 0.2 || control < 2*limited {
		t.Errorf("CPU share %.2f under a tenth, %.2f lifted, %.2f under a tenth again", limited, control, again)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func TestBandwidthThrottlesDirectIO(t *testing.T) {
	env := newEnv(t)
	file := filepath.Join(env.Project, "data")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for way, slow := range map[string]*resource.Limits{
		"r":      {IO: &resource.IO{ReadBPS: ptr[uint64](2 << 20)}},
		"w":      {IO: &resource.IO{WriteBPS: ptr[uint64](2 << 20)}},
		"r iops": {IO: &resource.IO{ReadIOPS: ptr[uint64](32)}},
		"w iops": {IO: &resource.IO{WriteIOPS: ptr[uint64](32)}},
	} {
		t.Run(way, func(t *testing.T) {
			free := &resource.Limits{}
			run := func() time.Duration {
				took, out, _ := outcome(t, acting(t, env, "direct", file, way[:1], "4"))
				if out != "" {
					t.Fatal(out)
				}
				return took
			}
			apply(t, env, change(nil, slow))
			leaf(t, env) // a group made after the limits
			if err := (Host{}).Sync(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			mustSee(t, env, slow)
			late := run()
			apply(t, env, change(slow, free))
			control := run()
			apply(t, env, change(free, slow))
			limited := run() // 4 MiB at 2 MiB/s, or 64 requests at 32 a second: 2 s
			apply(t, env, change(slow, free))
			if min(limited, late) < 1500*time.Millisecond || control > limited/2 {
				t.Errorf("4 MiB took %v limited, %v in a group made later and %v free", limited, late, control)
			}
		})
	}
}

// On v1 a group without the bandwidth is a way around it, and seen.
func TestUnthrottledGroupIsSeen(t *testing.T) {
	env := newEnv(t)
	p := home(t, ioReadBPS)
	want := &resource.Limits{IO: &resource.IO{ReadBPS: ptr[uint64](2 << 20)}}
	apply(t, env, change(nil, want))
	leaf(t, env)
	if p.v2 {
		mustSee(t, env, want) // v2 limits the groups below by itself
		return
	}
	mustSee(t, env, &resource.Limits{IO: &resource.IO{}})
	apply(t, env, change(nil, want))
	mustSee(t, env, want)
}

// A limit below what processes hold is refused, and they live on.
func TestMemoryBelowUseIsRefused(t *testing.T) {
	env := newEnv(t)
	wide := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](256 << 20), Swap: ptr[int64](0)}}
	tight := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](32 << 20), Swap: ptr[int64](0)}}
	apply(t, env, change(nil, wide))
	cmd := acting(t, env, "hog", "96")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("touched 96\n"))); err != nil {
		t.Fatal(err)
	}
	c := change(wide, tight)
	if err := (Host{}).Apply(t.Context(), env, c); !errors.Is(err, ErrInUse) {
		t.Errorf("Apply = %v, want ErrInUse", err)
	}
	apply(t, env, c.Reverse())
	mustSee(t, env, wide)
	if _, err := in.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process that held memory: %v", err)
	}
	apply(t, env, c) // now there is room
	mustSee(t, env, tight)
}

// Page cache makes room for a smaller limit: it is no use that counts.
func TestPageCacheMakesRoom(t *testing.T) {
	env := newEnv(t)
	wide := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](256 << 20)}}
	tight := &resource.Limits{Memory: &resource.Memory{Max: ptr[int64](24 << 20)}}
	apply(t, env, change(nil, wide))
	file := filepath.Join(env.Project, "cached")
	_, _, _ = outcome(t, inside(t, env, "/bin/dd", "if=/dev/zero", "of="+file, "bs=1M", "count=64", "conv=fsync", "status=none"))
	p := home(t, memoryMax)
	usage := "memory.usage_in_bytes"
	if p.v2 {
		usage = "memory.current"
	}
	text, err := readFile(filepath.Join(p.root, env.Cgroup), usage)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := strconv.Atoi(text); n < 48<<20 {
		t.Fatalf("control: only %d bytes are charged", n)
	}
	apply(t, env, change(wide, tight))
	mustSee(t, env, tight)
}

// The weight reaches BFQ where the disk has it; the disk here is a loop device
// of the test's own.
func TestIOWeightOnBFQ(t *testing.T) {
	env := newEnv(t)
	dir, dev := loopMount(t)
	env.Project, env.Dir = dir, filepath.Join(dir, ".blast", "test")
	want := resource.Limits{IO: &resource.IO{Weight: ptr[uint64](3000), ReadBPS: ptr[uint64](1 << 20)}}
	check := func() string {
		ps, err := Host{}.Check(t.Context(), env, []plan.Object{object(want)})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			if p.Item == string(ioWeight) {
				return p.Reason
			}
		}
		return ""
	}
	scheduler := filepath.Join(dev.sys(), "queue")
	if err := writeFile(scheduler, "scheduler", "none"); err != nil {
		t.Fatal(err)
	}
	if got := check(); !strings.Contains(got, "scheduler of "+dev.name()+" is none") {
		t.Errorf("Check without BFQ: %q", got)
	}
	if err := writeFile(scheduler, "scheduler", "bfq"); err != nil {
		t.Fatal(err)
	}
	if got := check(); got != "" {
		t.Errorf("Check with BFQ: %q", got)
	}
	apply(t, env, change(nil, &want))
	mustSee(t, env, &want)
	p := home(t, ioWeight)
	group := filepath.Join(p.root, env.Cgroup)
	file := "blkio.bfq.weight"
	if p.v2 {
		file = "io.bfq.weight"
	}
	if text, err := readFile(group, file); err != nil || !strings.HasSuffix(text, "364") {
		t.Errorf("%s = %q, %v; want 364", file, text, err)
	}
	if err := writeFile(group, file, "363"); err != nil {
		t.Fatal(err)
	}
	if got := observed(t, env); got == string(object(want).Attrs) {
		t.Error("a changed weight is not seen")
	}
	apply(t, env, change(&want, &resource.Limits{}))
	mustSee(t, env, &resource.Limits{})
}

// loopMount mounts a small file system on a loop device of its own.
func loopMount(t *testing.T) (string, device) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-E", "nodiscard", image)
	node := attachLoop(t, image)
	dir := t.TempDir()
	if err := unix.Mount(node, dir, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	dev, err := nodeOf(node)
	if err != nil {
		t.Fatal(err)
	}
	return dir, dev
}

// attachLoop puts image on a loop device until the test ends.
func attachLoop(t *testing.T, image string) string {
	t.Helper()
	_ = exec.Command("modprobe", "loop").Run() // where it is a module
	node := strings.TrimSpace(run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { run(t, "losetup", "--detach", node) })
	return node
}

func TestObserveAndApplyAreQuick(t *testing.T) {
	env := newEnv(t)
	want := samples(t)["large"]
	start := time.Now()
	apply(t, env, change(nil, want))
	first := time.Since(start)
	const rounds = 20
	start = time.Now()
	for range rounds {
		mustSee(t, env, want)
	}
	observe := time.Since(start) / rounds
	start = time.Now()
	for i := range rounds {
		next := *want
		next.PIDs = ptr(int64(100 + i))
		apply(t, env, change(want, &next))
	}
	update := time.Since(start) / rounds
	start = time.Now()
	if err := (Host{}).Commit(t.Context(), env, plan.Change{Addr: resource.LimitsAddr}); err != nil {
		t.Fatal(err)
	}
	t.Logf("create %v, observe %v, update %v, remove %v", first, observe, update, time.Since(start))
	if observe > time.Second {
		t.Errorf("Observe takes %v", observe)
	}
}
