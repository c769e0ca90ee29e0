package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/state"
)

// folder makes a group with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func v2(t *testing.T) Groups {
	t.Helper()
	dir := folder(t, map[string]string{
		"cpu.stat":       "usage_usec 5000000\nuser_usec 1\nnr_periods 100\nnr_throttled 40\nthrottled_usec 1500000\n",
		"memory.current": "1048576\n", "memory.peak": "4194304\n", "memory.swap.current": "0\n",
		"memory.events": "low 0\nhigh 7\nmax 90\noom 2\noom_kill 3\noom_group_kill 0\n",
		"pids.current":  "5\n", "pids.peak": "9\n", "pids.events": "max 0\n",
		"box/pids.events": "max 2\n", "box/memory.events": "oom_kill 3\n",
		"io.stat":      "7:0 rbytes=999 wbytes=999 rios=9 wios=9 dbytes=0 dios=0\n254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=4096 wbytes=0 rios=1 wios=0\n",
		"cpu.pressure": "some avg10=12.50 avg60=1.00 avg300=0.10 total=777\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	})
	return Groups{CPU: dir, Account: dir, Memory: dir, IO: dir, PIDs: dir, Pressure: dir}
}

func v1(t *testing.T) Groups {
	t.Helper()
	return Groups{
		CPU:     folder(t, map[string]string{"cpu.stat": "nr_periods 100\nnr_throttled 40\nthrottled_time 1500000000\n"}),
		Account: folder(t, map[string]string{"cpuacct.usage": "5000000000\n"}),
		Memory: folder(t, map[string]string{
			"memory.usage_in_bytes": "1048576\n", "memory.max_usage_in_bytes": "4194304\n", "memory.memsw.usage_in_bytes": "1048576\n",
			"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
		}),
		IO: folder(t, map[string]string{
			"blkio.throttle.io_service_bytes_recursive": "7:0 Read 999\n254:0 Read 8192\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 16384\nTotal 16384\n",
			"blkio.throttle.io_serviced_recursive":      "254:0 Read 2\n254:0 Write 2\nTotal 4\n",
		}),
		PIDs: folder(t, map[string]string{"pids.current": "5\n", "pids.peak": "9\n", "pids.events": "max 0\n", "box/pids.events": "max 2\n"}),
	}
}

// Both versions of cgroups say the same in other words.
func TestRead(t *testing.T) {
	want := state.Usage{
		CPU:    state.CPUUsage{Time: 5_000_000, Periods: 100, Throttled: 40, Waited: 1_500_000},
		Memory: state.Memory{Now: 1 << 20, Peak: 4 << 20}, PIDs: state.PIDs{Now: 5, Peak: 9},
		IO: state.IO{Read: 8192, Written: 8192, Reads: 2, Writes: 2},
	}
	for name, g := range map[string]Groups{"v1": v1(t), "v2": v2(t)} {
		got := g.Read()
		if got.Time.IsZero() {
			t.Errorf("%s: no time", name)
		}
		got.Time = time.Time{}
		if p := got.Pressure["cpu"]; name == "v2" && (p.Avg10 != 12.5 || p.Total != 777) || len(got.Pressure) > 1 {
			t.Errorf("%s: pressure %+v", name, got.Pressure)
		}
		got.Pressure = nil
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	nothing := Groups{}.Read()
	nothing.Time = time.Time{}
	if d := cmp.Diff(state.Usage{}, nothing); d != "" {
		t.Errorf("of no group: %s", d)
	}
}

func TestSince(t *testing.T) {
	for name, g := range map[string]Groups{"v1": v1(t), "v2": v2(t)} {
		high := uint64(0)
		if name == "v2" {
			high = 7
		}
		ch := g.Count().Since(Counts{CPU: 10, periods: 60, waited: 300_000})
		if ch.By[MemoryMax] != 3 || ch.By[PIDs] != 2 || ch.By[CPU] != 30 || ch.By[MemoryHigh] != high || ch.Periods != 40 || ch.Waited != 1_200_000 || !ch.Slowed() {
			t.Errorf("%s: %+v", name, ch)
		}
		if again := g.Count().Since(g.Count()); len(again.By) > 0 || again.Slowed() {
			t.Errorf("%s: nothing happened, and %+v", name, again)
		}
	}
	// A group in the place of one that was removed counts from nothing, whatever it is called.
	if ch := (Counts{PIDs + " box:2": 1, MemoryMax + " box:1": 1}).Since(Counts{PIDs + " box:1": 5, MemoryMax + " box:1": 4}); ch.By[PIDs] != 1 || ch.By[MemoryMax] != 1 {
		t.Errorf("%+v", ch)
	}
}

// Short waits and rare ones are nobody's business.
func TestSlowed(t *testing.T) {
	for _, c := range []struct {
		throttled, periods, waited uint64
		want                       bool
	}{{20, 100, 2_000_000, true}, {10, 100, 2_000_000, false}, {90, 100, 900_000, false}, {0, 0, 0, false}} {
		if got := (Change{By: map[string]uint64{CPU: c.throttled}, Periods: c.periods, Waited: c.waited}).Slowed(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A sandbox that comes up against a limit all the time fills no memory, and hides no
// other limit.
func TestRecordIsBounded(t *testing.T) {
	var r Record
	now := time.Unix(1000, 0)
	r.Add(state.Hit{Time: now, Limit: PIDs, Count: 1})
	for i := range 1000 {
		h := state.Hit{Time: now.Add(time.Duration(i) * time.Minute), Limit: MemoryMax, Count: 1}
		for range 100 {
			h.Victims = append(h.Victims, state.Victim{HostPID: i, Command: "hog"})
		}
		r.Add(h)
	}
	if len(r.Hits) != 1+maxHits || r.Hits[0].Limit != PIDs || r.Reached[MemoryMax].Count != 1000 {
		t.Fatalf("%d hits, %+v", len(r.Hits), r.Reached)
	}
	last := r.Hits[len(r.Hits)-1]
	if len(last.Victims) != maxVictims || last.Victims[0].HostPID != 999 {
		t.Errorf("victims %+v", last.Victims)
	}
	for i := range 1000 { // one after the other are one
		r.Add(state.Hit{Time: now.Add(1000*time.Minute + time.Duration(i)*time.Second), Limit: MemoryHigh, Count: 2})
	}
	if last := r.Hits[len(r.Hits)-1]; len(r.Hits) != 2+maxHits || last.Count != 2000 || last.Time.Sub(last.From) != 999*time.Second {
		t.Errorf("%d hits, %+v", len(r.Hits), last)
	}
}

func TestRecordIsKept(t *testing.T) {
	env := state.Env{ID: "1", Run: filepath.Join(t.TempDir(), "run")}
	if _, ok, err := LoadRecord(env); ok || err != nil {
		t.Fatal(ok, err)
	}
	var r Record
	r.Add(state.Hit{Time: time.Unix(1000, 0).UTC(), Limit: PIDs, Count: 1})
	r.Seen = Counts{"pids.max box:1": 1}
	if err := r.Store(env); err != nil {
		t.Fatal(err)
	}
	got, ok, err := LoadRecord(env)
	if d := cmp.Diff(r, got); d != "" || !ok || err != nil {
		t.Error(d, ok, err)
	}
	g := Groups{CPU: "/x"}
	for range 2 {
		if err := g.Keep(env); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := Find(env); err != nil || found != g {
		t.Error(found, err)
	}
	for _, forget := range []func(state.Env) error{Forget, DropRecord} {
		if err := forget(env); err != nil {
			t.Error(err)
		}
	}
	if es, err := os.ReadDir(env.Run); err != nil || len(es) > 0 {
		t.Error(es, err)
	}
}

// A file without an end is not read to its end.
func TestFilesAreReadToABound(t *testing.T) {
	dir := folder(t, map[string]string{"f": fmt.Sprintf("%0200000d\nlast 1\n", 0)})
	if text := read(dir, "f"); len(text) < maxFile || len(text) > 2*maxFile {
		t.Errorf("%d bytes", len(text))
	}
}

func BenchmarkCount(b *testing.B) {
	dir := b.TempDir()
	for _, f := range []string{"cpu.stat", "memory.events", "pids.events"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("max 0\noom_kill 0\nnr_periods 0\n"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	g := Groups{CPU: dir, Memory: dir, PIDs: dir}
	for b.Loop() {
		g.Count()
	}
}
