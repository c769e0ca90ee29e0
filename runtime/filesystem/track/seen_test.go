package track

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

func remember(t *testing.T, env state.Env, now time.Time) (*memory, bool) {
	t.Helper()
	m, forgot, err := openMemory(env, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	return m, forgot
}

func did(op, p string) access.Access { return access.Access{Op: op, Path: p} }

// TestMemory: a folder is new once for each event, also for those who open the memory
// later, or after somebody died while he wrote it.
func TestMemory(t *testing.T) {
	env := state.Env{Dir: t.TempDir()}
	file := filepath.Join(env.Dir, memoryFile)
	m, forgot := remember(t, env, start)
	check := func(want bool, op, p string) {
		t.Helper()
		if got := m.first(did(op, p)); got != want {
			t.Errorf("%s %s: %v", op, p, got)
		}
	}
	check(true, "read", "/workspace/a/1")
	check(false, "read", "/workspace/a/2")
	check(true, "write", "/workspace/a/1")
	check(true, "read", "/workspace/a/b/1")
	check(true, "read", "/workspace/1")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for range 2 {
		var again bool
		m, again = remember(t, env, start.Add(time.Hour))
		if forgot || again || !m.since.Equal(start) {
			t.Errorf("begun at %v, forgot %v, %v", m.since, forgot, again)
		}
		check(false, "read", "/workspace/a/3")
		check(false, "read", "/workspace/2")
	}
	check(true, "read", "/workspace/c/1")
	m, _ = remember(t, env, start)
	check(false, "read", "/workspace/c/1")
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}

	for _, text := range []string{"x", "blastsn1", "another file that is longer than the head of a memory has to be, by far"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, forgot = remember(t, env, start.Add(time.Minute)); !forgot || !m.since.Equal(start.Add(time.Minute)) {
			t.Errorf("%q: begun at %v, forgot %v", text, m.since, forgot)
		}
		check(true, "read", "/workspace/a/1")
		m, _ = remember(t, env, start)
		check(false, "read", "/workspace/a/1")
	}
	for range 2 {
		if err := forget(env); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is still there")
	}
}

// TestFullMemory: what is not remembered is new each time, rather than never, and that is
// said once; it takes no more room.
func TestFullMemory(t *testing.T) {
	env := state.Env{Dir: t.TempDir()}
	m, _ := remember(t, env, start)
	for i := range maxSeen + 10 {
		m.first(did("write", fmt.Sprintf("/workspace/%d/f", i)))
	}
	if !m.first(did("write", fmt.Sprintf("/workspace/%d/f", maxSeen+5))) || m.first(did("write", "/workspace/5/f")) {
		t.Error("what is known is not told from what is not")
	}
	if !m.nowFull() || m.nowFull() {
		t.Error("that it is full is not told once")
	}
	if fi, err := os.Stat(filepath.Join(env.Dir, memoryFile)); err != nil || fi.Size() != int64(memoryHead+maxSeen*memoryEntry) {
		t.Errorf("%d bytes, %v", fi.Size(), err)
	}
}

// TestAlertOnWhatIsNew fires for folders that were not seen while it learned, each once.
func TestAlertOnWhatIsNew(t *testing.T) {
	env := state.Env{Dir: t.TempDir()}
	alerts := []filesystem.Alert{
		{Name: "new", Event: filesystem.Write, Threshold: 1, Window: time.Second, FirstSeen: true, Learn: time.Hour, Action: filesystem.Log},
		{Name: "all", Event: filesystem.Write, Threshold: 1, Window: time.Second, Action: filesystem.Log},
	}
	begun := time.Now()
	dir := t.TempDir()
	b := open(t, dir)
	if err := b.want(env, alerts); err != nil {
		t.Fatal(err)
	}
	fired := func(after time.Duration, p string, want uint64) {
		t.Helper()
		b.add(access.Access{Time: begun.Add(after), Op: filesystem.Write, Path: p, Process: access.Process{PID: 7, HostPID: int(after)}})
		if got := last[access.Totals](t, shown(t, b)).Fired["new"]; got != want {
			t.Errorf("%v, %s: fired %d times, not %d", after, p, got, want)
		}
	}
	fired(time.Minute, "/workspace/src/a", 0)
	fired(59*time.Minute, "/workspace/lib/a", 0)
	fired(61*time.Minute, "/workspace/src/b", 0)
	fired(62*time.Minute, "/workspace/keys/a", 1)
	fired(63*time.Minute, "/workspace/keys/b", 1)
	if err := b.close("the daemon died"); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if err := b.want(env, alerts); err != nil {
		t.Fatal(err)
	}
	fired(64*time.Minute, "/workspace/keys/c", 1)
	fired(65*time.Minute, "/workspace/other/c", 2)
	if got := last[access.Totals](t, shown(t, b)).Fired["all"]; got != 7 {
		t.Errorf("the alert beside it fired %d times", got)
	}
}
