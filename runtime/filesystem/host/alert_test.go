//go:build linux

package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/runtime/sandbox"
)

func massDelete(action string) filesystem.Alert {
	return filesystem.Alert{Name: "mass-delete", Event: filesystem.Delete, Threshold: 20, Window: 10 * time.Second, Action: action}
}

const deleteMany = "cd /workspace; for i in $(seq 30); do : >f$i; done; rm f*"

func (w *world) alerts(t testing.TB) []access.Alert {
	t.Helper()
	w.flush(t)
	all, err := access.Alerts(filepath.Join(w.env.Run, access.AlertFile), 0)
	if err != nil {
		t.Fatal(err)
	}
	if lines := of[access.Alert](w.lines(t)); len(lines) != len(all) {
		t.Errorf("%d alerts in their file, %d on record", len(all), len(lines))
	}
	return all
}

func TestAlertIsLogged(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes, massDelete(filesystem.Log)))
	w.must(t, "cd /workspace; for i in $(seq 19); do : >f$i; done; rm f*")
	if got := w.alerts(t); len(got) != 0 {
		t.Fatalf("19 of 20 fired: %+v", got)
	}
	w.must(t, deleteMany)
	got := w.alerts(t)
	if len(got) != 1 || got[0].Name != "mass-delete" || got[0].Count != 20 || got[0].Action != filesystem.Log || got[0].Command != "rm" || !strings.HasPrefix(got[0].Path, "/workspace/f") {
		t.Errorf("%+v", got)
	}
}

// TestAlertFreezes all that runs, says why, and lets it go on.
func TestAlertFreezes(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes, massDelete(filesystem.Freeze)))
	out := make(chan int, 1)
	go func() {
		code, _ := w.run(t, "/bin/sh", "-c", deleteMany+"; sleep 0.5; : >after; exit 7")
		out <- code
	}()
	eventually(t, "it is not frozen", func() bool { return frozen(t, w) })
	if hold := w.env.Held(); hold == nil || hold.By != `alert "mass-delete"` || !strings.Contains(hold.Why, "delete within 10s") {
		t.Errorf("%+v", hold)
	}
	select {
	case code := <-out:
		t.Fatalf("the command ended with %d while it was frozen", code)
	case <-time.After(time.Second):
	}
	if _, err := os.Stat(w.path("after")); err == nil {
		t.Error("the command went on")
	}
	if err := w.env.LetGo(); err != nil {
		t.Fatal(err)
	}
	if err := w.host.Thaw(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
	if err := (cgroup.Host{}).Thaw(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
	if code := <-out; code != 7 {
		t.Errorf("it ended with %d", code)
	}
}

// frozen reports whether a freezer says that the environment stands still.
func frozen(t *testing.T, w *world) bool {
	t.Helper()
	for _, f := range []string{"/sys/fs/cgroup/freezer%s/freezer.state", "/sys/fs/cgroup%s/cgroup.events", "/sys/fs/cgroup/unified%s/cgroup.events"} {
		if b, err := os.ReadFile(fmt.Sprintf(f, w.env.Cgroup)); err == nil && (strings.Contains(string(b), "FROZEN") || strings.Contains(string(b), "frozen 1")) {
			return true
		}
	}
	return false
}

// TestAlertKills all commands, also those that have nothing to do with it, and not the
// sandbox.
func TestAlertKills(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes, massDelete(filesystem.Kill)))
	other := make(chan int, 1)
	go func() { code, _ := w.run(t, "/bin/sleep", "1000"); other <- code }()
	code, _ := w.run(t, "/bin/sh", "-c", deleteMany+"; sleep 1000")
	if code != 137 {
		t.Errorf("it ended with %d", code)
	}
	if code := <-other; code != 137 {
		t.Errorf("the other one ended with %d", code)
	}
	if _, err := sandbox.Load(t.Context(), w.env, box); err != nil {
		t.Errorf("the sandbox: %v", err)
	}
	eventually(t, "no command runs any more", func() bool { // what starts while the others are ended is ended, too
		code, _ := w.run(t, "/bin/true")
		return code == 0
	})
	if got := w.alerts(t); len(got) != 1 || got[0].Failed != "" {
		t.Errorf("%+v", got)
	}
}

// TestProcessesThatAreGone count: one that is quick enough must not get round an alert.
func TestProcessesThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes, massDelete(filesystem.Log)))
	if code, out := w.run(t, "/usr/bin/python3", "-c", `
import os
for i in range(30): open("f%d" % i, "w").close()
for i in range(30):
    if os.fork() == 0:
        os.unlink("f%d" % i)
        os._exit(0)
    os.wait()
`); code != 0 {
		t.Fatal(out)
	}
	if got := w.alerts(t); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBytesOfReads: a large transfer is noticed by the sizes of the files.
func TestBytesOfReads(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.All, filesystem.Alert{Name: "exfil", Event: filesystem.Read, Bytes: 3 * mib, Window: 10 * time.Second, Paths: []string{"*.bin"}, Action: filesystem.Log}))
	w.must(t, "cd /workspace; for i in 1 2 3; do head -c 1048576 /dev/zero >$i.bin; head -c 9000000 /dev/zero >$i.txt; done; cat *.txt 1.bin 2.bin >/dev/null")
	if got := w.alerts(t); len(got) != 0 {
		t.Fatalf("too early: %+v", got)
	}
	w.must(t, "cat /workspace/3.bin >/dev/null")
	if got := w.alerts(t); len(got) != 1 || got[0].Bytes != 3*mib {
		t.Errorf("%+v", got)
	}
}

// TestAlertsChangeLive, and one that stays goes on counting.
func TestAlertsChangeLive(t *testing.T) {
	w := newWorld(t)
	same := filesystem.Alert{Name: "same", Event: filesystem.Create, Threshold: 4, Window: time.Minute, Action: filesystem.Log}
	w.apply(t, track(filesystem.Writes, same))
	w.must(t, "touch /workspace/1 /workspace/2")
	w.flush(t)
	w.apply(t, track(filesystem.Writes, massDelete(filesystem.Log), same))
	w.must(t, "touch /workspace/3 /workspace/4")
	if got := w.alerts(t); len(got) != 1 || got[0].Name != "same" {
		t.Errorf("%+v", got)
	}
}

// TestOverflowIsReported, and those alerts fire that stop the sandbox, as they can't have
// seen all.
func TestOverflowIsReported(t *testing.T) {
	const most = "/proc/sys/fs/fanotify/max_queued_events"
	was, err := os.ReadFile(most)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(most, []byte("64"), 0o644); err != nil {
		t.Skip(err)
	}
	defer func() { _ = os.WriteFile(most, was, 0o644) }()
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes, filesystem.Alert{Name: "never", Event: filesystem.Delete, Threshold: 1_000_000, Window: time.Minute, Action: filesystem.Kill}))
	code, out := w.run(t, "/usr/bin/python3", "-c", `
for i in range(200000):
    open("/tmp/f%d" % (i % 1000), "w").close()
    if i % 1000 == 999:
        import os
        for f in os.listdir("/tmp"): os.unlink("/tmp/" + f)
`)
	all := w.lines(t)
	gaps := of[access.Gap](all)
	if !slices.ContainsFunc(gaps, func(g access.Gap) bool {
		return g.Lost > 0 && !g.To.Before(g.From) && strings.Contains(g.Reason, "queue")
	}) {
		t.Fatalf("no gap is on record: %+v", gaps)
	}
	if totals := of[access.Totals](all); len(totals) != 1 || totals[0].Lost == 0 {
		t.Errorf("totals: %+v", totals)
	}
	if got := of[access.Alert](all); len(got) == 0 || !got[0].Overflow || code != 137 {
		t.Errorf("alerts %+v; the command ended with %d %s", got, code, out)
	}
}

// TestGapOfADaemon: what happened between two daemons nobody knows, and that is said.
func TestGapOfADaemon(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	w.must(t, "touch /workspace/before")
	w.has(t, "create /workspace/before")
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.must(t, "touch /workspace/between")
	time.Sleep(50 * time.Millisecond)
	w.begin(t)
	w.sync(t)
	w.must(t, "touch /workspace/after")
	w.has(t, "create /workspace/before", "create /workspace/after")
	if slices.Contains(w.deeds(t), "create /workspace/between") {
		t.Error("the test sees too much")
	}
	all := w.lines(t)
	gaps := times(all)
	if len(gaps) != 1 || gaps[0].To.Sub(gaps[0].From) < 50*time.Millisecond || gaps[0].Reason != "blastd was not running" {
		t.Errorf("%+v", gaps)
	}
	if paths := of[access.Path](all); !slices.ContainsFunc(paths, func(p access.Path) bool { return p.Path == "/workspace/before" }) {
		t.Error("the history is forgotten")
	}
}

// TestTurnedOff: nothing is noted any more, what was is still there, and turning it on
// again says since when it was off.
func TestTurnedOff(t *testing.T) {
	w := newWorld(t)
	on := track(filesystem.Writes)
	w.apply(t, on)
	w.must(t, "touch /workspace/on")
	w.flush(t)
	w.drop(t, on)
	w.must(t, "touch /workspace/off")
	w.has(t, "create /workspace/on")
	w.apply(t, on)
	if gaps := times(w.lines(t)); len(gaps) != 1 || gaps[0].Reason != "nothing was tracked" || slices.Contains(w.deeds(t), "create /workspace/off") {
		t.Errorf("%+v", gaps)
	}
}
