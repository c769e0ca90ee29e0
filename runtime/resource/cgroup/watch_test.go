package cgroup

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

// watched applies limits and looks out for them.
func watched(t *testing.T, env state.Env, l resource.Limits) Host {
	t.Helper()
	h := New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = h.Close() })
	apply(t, env, change(nil, &l))
	leaf(t, env)
	if err := h.Sync(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	return h
}

func recorded(t *testing.T, env state.Env) usage.Record {
	t.Helper()
	r, _, err := usage.LoadRecord(env)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// within waits until a limit is on record that nobody asked to look for.
func within(t *testing.T, env state.Env, limit string, most time.Duration) state.Reached {
	t.Helper()
	for end := time.Now().Add(most); ; {
		if r := recorded(t, env).Reached[limit]; r.Count > 0 {
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not on record after %v: %+v", limit, most, recorded(t, env))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// The kernel tells when memory is short: it is noticed well before the next look.
func TestOutOfMemoryIsNoticed(t *testing.T) {
	env := newEnv(t)
	watched(t, env, resource.Limits{Memory: &resource.Memory{Max: ptr[int64](48 << 20), Swap: ptr[int64](0)}})
	if _, out, killed := outcome(t, acting(t, env, "hog", "16")); killed {
		t.Fatalf("control: 16 MiB under 48 MiB: %q", out)
	}
	if r := recorded(t, env); len(r.Reached) > 0 {
		t.Fatalf("control: %+v", r)
	}
	if _, out, killed := outcome(t, acting(t, env, "hog", "96")); !killed {
		t.Fatalf("not killed: %q", out)
	}
	if got := within(t, env, usage.MemoryMax, 2*time.Second); got.Count != 1 {
		t.Errorf("%d kills on record", got.Count)
	}
	hits := recorded(t, env).Hits
	if len(hits) != 1 || hits[0].Peak < 40<<20 || hits[0].Peak > 48<<20 {
		t.Fatalf("hits %+v", hits)
	}
	if !hostinfo.InitialPIDs() {
		return // the kernel's log has numbers of another namespace
	}
	self := filepath.Base(os.Args[0])
	if v := hits[0].Victims; len(v) != 1 || !strings.HasPrefix(self, v[0].Command) || v[0].HostPID <= 0 {
		t.Errorf("victims %+v, want %s", v, self)
	}
}

// Forks that are refused are counted one by one.
func TestRefusedForksAreNoticed(t *testing.T) {
	env := newEnv(t)
	h := watched(t, env, resource.Limits{PIDs: ptr[int64](12)})
	loop := `i=0; while [ $i -lt 20 ]; do sleep 100 >/dev/null 2>&1 <&- & i=$((i+1)); done`
	_, out, _ := outcome(t, inside(t, env, "/bin/dash", "-c", loop)) // dash gives up at the first
	if !strings.Contains(out, "fork") {
		t.Fatalf("control: %q", out)
	}
	if err := h.Flush(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	r := recorded(t, env)
	if got := r.Reached[usage.PIDs]; got.Count != 1 || len(r.Hits) != 1 {
		t.Errorf("%+v", r)
	}
}

// A busy machine gives less than the quota, so that there is little to throttle: the
// spinners run until there was enough.
func TestThrottledCPUIsNoticed(t *testing.T) {
	env := newEnv(t)
	h := watched(t, env, resource.Limits{CPU: &resource.CPU{QuotaUS: ptr[int64](5_000), PeriodUS: ptr[uint64](50_000)}})
	cmd := inside(t, env, "/usr/bin/timeout", "-s", "KILL", "30", "/bin/sh", "-c", "while :; do :; done & while :; do :; done")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }()
	r := within(t, env, usage.CPU, 2*every)
	for end := time.Now().Add(20 * time.Second); r.Waited < 1_500_000 && time.Now().Before(end); r = recorded(t, env).Reached[usage.CPU] {
		<-time.After(100 * time.Millisecond)
	}
	if err := h.Flush(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if hits := recorded(t, env).Hits; r.Count < 5 || r.Waited < 1_500_000 || len(hits) == 0 {
		t.Errorf("%+v, %+v", r, hits)
	}
}

// every is at most how long it takes until somebody looks by himself.
const every = 6 * time.Second

// What no kernel counts is seen in how much goes through.
func TestUsedUpBandwidthIsNoticed(t *testing.T) {
	env := newEnv(t)
	file := filepath.Join(env.Project, "data")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	unix.Sync()
	for limit, l := range map[string]resource.Limits{
		"io.read_bps":  {IO: &resource.IO{ReadBPS: ptr[uint64](2 << 20)}},
		"io.read_iops": {IO: &resource.IO{ReadIOPS: ptr[uint64](32)}},
	} {
		t.Run(limit, func(t *testing.T) {
			env.Run = t.TempDir()
			watched(t, env, l)
			if _, out, _ := outcome(t, acting(t, env, "direct", file, "r", "6")); out != "" {
				t.Fatal(out)
			}
			within(t, env, limit, 3*time.Second)
		})
	}
}

// A daemon that comes later counts what came in between, and nothing twice.
func TestNothingIsCountedTwice(t *testing.T) {
	env := newEnv(t)
	first := watched(t, env, resource.Limits{Memory: &resource.Memory{Max: ptr[int64](48 << 20), Swap: ptr[int64](0)}})
	kill := func() {
		t.Helper()
		if _, out, killed := outcome(t, acting(t, env, "hog", "96")); !killed {
			t.Fatalf("not killed: %q", out)
		}
	}
	see := func(h Host, want uint64) {
		t.Helper()
		if err := errors.Join(h.Sync(t.Context(), env), h.Flush(t.Context(), env), h.Flush(t.Context(), env)); err != nil {
			t.Fatal(err)
		}
		if got := recorded(t, env).Reached[usage.MemoryMax].Count; got != want {
			t.Errorf("%d kills on record, want %d", got, want)
		}
	}
	kill()
	see(first, 1)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	kill()
	second := New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = second.Close() })
	see(second, 2)
	for _, dir := range leaf(t, env) { // a sandbox goes, and another one comes in its place
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	see(second, 2)
	kill()
	see(second, 3)
}

// Past memory.high nothing is killed, and it is told apart.
func TestHighMemoryIsNoticed(t *testing.T) {
	if !home(t, memoryMax).v2 {
		t.Skip("cgroup v1 has no memory.high")
	}
	env := newEnv(t)
	watched(t, env, resource.Limits{Memory: &resource.Memory{Max: ptr[int64](96 << 20), High: ptr[int64](32 << 20), Swap: ptr[int64](0)}})
	file := filepath.Join(env.Project, "cached") // page cache, which can be taken back
	_, _, _ = outcome(t, inside(t, env, "/bin/dd", "if=/dev/zero", "of="+file, "bs=1M", "count=64", "status=none"))
	within(t, env, usage.MemoryHigh, 3*time.Second)
	if r := recorded(t, env); r.Reached[usage.MemoryMax].Count > 0 {
		t.Errorf("killed, too: %+v", r)
	}
}

// What goes with the limits leaves no note.
func TestWatchEndsWithTheLimits(t *testing.T) {
	env := newEnv(t)
	l := resource.Limits{PIDs: ptr[int64](64)}
	h := watched(t, env, l)
	if g, err := usage.Find(env); err != nil || g.PIDs == "" {
		t.Fatalf("control: %+v, %v", g, err)
	}
	apply(t, env, change(&l, nil))
	if err := h.Sync(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	es, err := os.ReadDir(env.Run)
	if err != nil || len(es) > 0 {
		t.Errorf("left: %v, %v", es, err)
	}
}

// Measure tells use and limits together.
func TestMeasure(t *testing.T) {
	env := newEnv(t)
	h := watched(t, env, resource.Limits{CPU: &resource.CPU{QuotaUS: ptr[int64](150_000)}, Memory: &resource.Memory{Max: ptr[int64](256 << 20)}, PIDs: ptr[int64](40)})
	cmd := acting(t, env, "hog", "32")
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
	if _, err := fmt.Fscanln(out, new(string), new(string)); err != nil {
		t.Fatal(err)
	}
	var v state.Vitals
	if err := h.Measure(t.Context(), env, &v); err != nil {
		t.Fatal(err)
	}
	u := v.Usage
	if u == nil || u.CPU.CPUs != 1.5 || u.Memory.Max != 256<<20 || u.PIDs.Max != 40 {
		t.Fatalf("limits %+v", u)
	}
	if u.Memory.Now < 32<<20 || u.Memory.Peak < u.Memory.Now || u.PIDs.Now == 0 || v.Memory < 32<<20 {
		t.Errorf("use %+v", u)
	}
	if _, err := in.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
