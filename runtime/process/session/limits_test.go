package session

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

// limited is a state with limits, of which the one of processes is the default.
func limited() state.State {
	return state.State{Objects: []plan.Object{{
		Addr:  limitsAddr,
		Attrs: []byte(`{"cpu":{"quota_us":50000,"period_us":100000},"memory":{"max":67108864,"high":33554432,"swap":0},"io":{"read_bps":4194304},"pids":512}`),
		Src:   map[string]string{"": "blast.hcl:1", "memory.max": "blast.hcl:9", "memory.high": "blast.hcl:10", "cpu.quota": "blast.hcl:5", "io.read_bps": "blast.hcl:20"},
	}}}
}

// toldOf is what is said of a change of counters.
func toldOf(t *testing.T, env state.Env, change usage.Change) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	Session{Env: env, Stderr: w}.explainLimits(limited(), toll{at: time.Unix(1000, 0)}, change)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLimitsAreExplained(t *testing.T) {
	env := state.Env{Run: filepath.Join(t.TempDir(), "run")}
	var r usage.Record
	r.Add(state.Hit{Time: time.Unix(900, 0), Limit: usage.MemoryMax, Count: 1, Peak: 99 << 30, Victims: []state.Victim{{HostPID: 1, Command: "earlier"}}})
	r.Add(state.Hit{Time: time.Unix(1001, 0), Limit: usage.MemoryMax, Count: 1, Peak: 67108864, Victims: []state.Victim{{HostPID: 47, Command: "a b\x1b"}}})
	r.Add(state.Hit{From: time.Unix(996, 0), Time: time.Unix(1003, 0), Limit: "io.read_bps", Count: 7})
	if err := r.Store(env); err != nil {
		t.Fatal(err)
	}
	change := usage.Change{
		By:      map[string]uint64{usage.MemoryMax: 1, usage.PIDs: 3, usage.CPU: 50, usage.MemoryHigh: 9},
		Periods: 100, Waited: 2_500_000, Stalled: 2_000_000,
	}
	text := toldOf(t, env, change)
	for _, want := range []string{
		"at a limit of the sandbox, not of the machine", "[R101]",
		`the kernel ended "a b\x1b" (pid 47 on the host)`, "memory.max is 64 MiB, and 64 MiB were in use at most", "blast.hcl:9\n",
		`raise  memory.max at blast.hcl:9, "128MiB" say; then blast apply`,
		"3 starts of a process or thread refused", "pids.max is 512", "blast.hcl:1\n", "raise  it is the default: write resource { pids { max = ... } }, 1024 say",
		"memory.high is 32 MiB", "processes waited 2.5s for the CPU, in 50 % of the time", "cpu.quota is 0.5 CPUs",
		"reads were as fast as they may be for 3s", "io.read_bps is 4 MiB/s", // of which four were before
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "earlier") || strings.Count(text, "R101") != 1 {
		t.Errorf("in:\n%s", text)
	}
}

// What made no difference is not told.
func TestLimitsThatMadeNoDifference(t *testing.T) {
	env := state.Env{Run: filepath.Join(t.TempDir(), "run")}
	for name, change := range map[string]usage.Change{
		"nothing":      {},
		"a little":     {By: map[string]uint64{usage.CPU: 5}, Periods: 100, Waited: 9_000_000},
		"short":        {By: map[string]uint64{usage.CPU: 100}, Periods: 100, Waited: 500_000},
		"only reclaim": {By: map[string]uint64{usage.MemoryHigh: 100}, Stalled: 1000},
	} {
		if text := toldOf(t, env, change); text != "" {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text := toldOf(t, env, usage.Change{By: map[string]uint64{usage.MemoryMax: 2}}); !strings.Contains(text, "the kernel ended 2 processes") {
		t.Errorf("without a record: %s", text)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1000: "1000 bytes", 1 << 10: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 2 << 30: "2 GiB", 1536 << 20: "1536 MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
