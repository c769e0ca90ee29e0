//go:build linux

package mounts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/state"
)

// asDaemon makes the test program apply one change and end; see daemon.
const asDaemon = "BLAST_TEST_DAEMON"

func owner(fi os.FileInfo) [2]uint32 {
	st := fi.Sys().(*syscall.Stat_t)
	return [2]uint32{st.Uid, st.Gid}
}

// daemon applies the change in the environment variable; a test kills it meanwhile.
func daemon(job string) int {
	var in struct {
		Env    state.Env
		Change plan.Change
		Take   []plan.Object // or this: all changes of the layer over them
	}
	if err := json.Unmarshal([]byte(job), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println("begun")
	h := mounts.New(slog.New(slog.DiscardHandler))
	do := func() error { return h.Apply(context.Background(), in.Env, in.Change) }
	if in.Take != nil {
		do = func() error {
			_, err := h.Take(context.Background(), in.Env, in.Take, paths())
			return err
		}
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killed applies c in a process of its own and kills that after a time. It
// reports whether the process had ended by itself.
func (w *world) killed(t *testing.T, c plan.Change, after time.Duration) bool {
	t.Helper()
	return w.killedAt(t, map[string]any{"Env": w.env, "Change": c}, after)
}

func (w *world) killedAt(t *testing.T, what map[string]any, after time.Duration) bool {
	t.Helper()
	job, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asDaemon+"="+string(job))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // the point of the test: any moment will do
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return cmd.ProcessState.Success()
}

// Killed at any moment of a creation, change or deletion: from there both the change
// and its reverse get home, and nothing is left beside.
func TestKilled(t *testing.T) { killedAnywhere(t, 30) }

// TestKilledInMemory likewise, where layers are in memory.
func TestKilledInMemory(t *testing.T) {
	inMemory(t)
	killedAnywhere(t, 12)
}

// killedAnywhere kills at up to so many moments of 42 ms, at which all is done mostly.
func killedAnywhere(t *testing.T, moments int) {
	t.Helper()
	w := newWorld(t, map[string]string{"secrets/key": "secret\n", "blast.hcl": "#\n", "a.pem": "secret\n", "deep/er/b.pem": "secret\n"})
	w.start(t, box1)
	empty := w.kernel(t, box1)
	a := w.usual(box1, filesystem.Mount{Name: "workspace.hide", Target: "/workspace/secrets", Type: filesystem.Hide, Dir: true})
	b := w.usual(box1, filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/secrets", Type: filesystem.ReadOnly, Dir: true})
	b.Mounts[3].Access = "ro"
	over := w.overlaid(box1, filesystem.Mount{Name: "workspace.hide", Target: "/workspace/secrets", Type: filesystem.Hide, Dir: true})
	a.Patterns, b.Patterns = []filesystem.Pattern{hides("*.pem")}, []filesystem.Pattern{keeps("/deep/*")}
	for i, done := 0, 0; done < 3 && i < moments; i++ {
		after := time.Duration(i) * 42 * time.Millisecond / time.Duration(moments)
		done = 0
		for _, c := range []plan.Change{change(nil, &a), change(&a, &b), change(&b, &over), change(&over, nil)} {
			w.killed(t, c, after)
			w.mustApply(t, c.Reverse(), after)
			w.is(t, c.From, empty, after)
			if w.killed(t, c, after) {
				done++
			}
			w.mustApply(t, c, after)
			w.is(t, c.To, empty, after)
		}
	}
}

func (w *world) mustApply(t *testing.T, c plan.Change, after time.Duration) {
	t.Helper()
	err := w.host.Apply(t.Context(), w.env, c)
	if err == nil {
		err = w.host.Commit(t.Context(), w.env, c)
	}
	if err != nil {
		t.Fatalf("killed after %v: %v", after, err)
	}
}

// is checks that there is just this tree.
func (w *world) is(t *testing.T, want json.RawMessage, empty string, after time.Duration) {
	t.Helper()
	if want == nil {
		var got string
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if got = w.kernel(t, box1); got == empty { // the kernel lets go of loop devices a little later
				return
			}
		}
		t.Fatalf("killed after %v there is\n%s\nwant\n%s", after, got, empty)
	}
	objs, err := w.host.Observe(t.Context(), w.env)
	if err != nil || len(objs) != 1 || string(objs[0].Attrs) != string(want) {
		t.Fatalf("killed after %v: %v %v", after, objs, err)
	}
}
