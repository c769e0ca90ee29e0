//go:build linux

package generation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages/generation"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/pypi"
)

// asDaemon makes the test program carry out a job and end.
const asDaemon = "BLAST_TEST_DAEMON"

type job struct {
	Env    state.Env
	Change plan.Change
	Cache  string
	Commit bool // what follows Apply, too
}

func daemon(text string) int {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	h := generation.New(j.Cache)
	fmt.Println("begun")
	err := h.Apply(context.Background(), j.Env, j.Change)
	if err == nil && j.Commit {
		err = h.Commit(context.Background(), j.Env, j.Change)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killed carries out a job in a process of its own and kills that after a time. It
// reports whether the process had ended by itself.
func (w *world) killed(t *testing.T, c plan.Change, commit bool, after time.Duration) bool {
	t.Helper()
	text, err := json.Marshal(job{w.env, c, w.cache, commit})
	do(t, err)
	self, err := os.Executable()
	do(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asDaemon+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	do(t, err)
	do(t, cmd.Start())
	_, err = out.Read(make([]byte, 16))
	do(t, err)
	time.Sleep(after) // the point of the test: any moment will do
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return cmd.ProcessState.Success()
}

// many is a project with enough files that building takes a while.
func many(version string) pypi.Wheel {
	w := pypi.Wheel{Name: "many", Version: version, Files: map[string]string{}}
	for i := range 600 {
		w.Files[fmt.Sprintf("many/p%d/m%d.txt", i%30, i)] = version
	}
	return w
}

// Killed at any moment of a change and of its clean-up: from there the change or its
// reverse gets home, and nothing is left beside.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	a := object(w.set("a\n", w.pin(t, hello), w.pin(t, many("1"))))
	b := object(w.set("b\n", w.pin(t, hello2), w.pin(t, many("2"))))
	w.apply(t, nil, b) // into the cache
	w.apply(t, b, nil)
	w.commit(t, b, nil)
	do(t, os.RemoveAll(w.lockPath()))
	w.install(t, a)
	was := w.onDisk(t)
	update := change(a, b)
	ended := 0
	for after := time.Duration(0); ended < 3 && after < 5*time.Second; after += 7 * time.Millisecond {
		if w.killed(t, update, false, after) {
			ended++
		}
		w.apply(t, b, a) // the reverse
		w.commit(t, b, a)
		w.sees(t, a)
		if now := w.onDisk(t); now != was {
			t.Fatalf("killed after %v and taken back, there is\n%s\nwas\n%s", after, now, was)
		}
		w.killed(t, update, true, after)
		w.apply(t, a, b)
		w.commit(t, a, b)
		w.sees(t, b)
		w.killed(t, update.Reverse(), true, after)
		w.apply(t, b, a)
		w.commit(t, b, a)
		w.sees(t, a)
	}
	if ended < 3 {
		t.Errorf("only %d ended in time: the last moments were not tried", ended)
	}
	for _, after := range []time.Duration{0, 2 * time.Millisecond, 5 * time.Millisecond, time.Second} {
		w.killed(t, change(a, nil), true, after)
		w.commit(t, a, nil)
		w.apply(t, nil, a)
		w.commit(t, nil, a)
	}
}

// Killed while packages come: what came is whole, and the rest comes again.
func TestKilledWhileDownloading(t *testing.T) {
	w := newWorld(t)
	one, two := w.pin(t, hello), w.pin(t, many("1"))
	to := object(w.set("a\n", one, two))
	w.index.Break("/files/"+two.File, pypi.Fault{Stall: true})
	if w.killed(t, change(nil, to), false, 500*time.Millisecond) {
		t.Fatal("a download that stalls ended")
	}
	w.apply(t, to, nil)
	w.commit(t, to, nil)
	if now := w.lock(t); now != "none" {
		t.Error(now)
	}
	w.index.Mend("/files/" + two.File)
	w.install(t, to)
	fetched := 0
	for _, r := range w.index.Requests() {
		if r.Path == "/files/"+one.File {
			fetched++
		}
	}
	if fetched != 1 {
		t.Errorf("what had come was fetched %d times", fetched)
	}
	if left, _ := os.ReadDir(filepath.Join(w.cache, "tmp")); len(left) > 0 {
		t.Errorf("left in the cache: %v", left)
	}
}
