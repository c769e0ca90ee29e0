//go:build linux

package trial_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/process/command"
)

// leavers are ways to leave a process behind.
var leavers = map[string]string{
	"a-background": "sleep 1005 &",
	"b-nohup":      "nohup sleep 1005 >/dev/null 2>&1 &",
	"c-daemon":     "setsid -f sleep 1005 >/dev/null 2>&1",
	"d-twice":      "setsid sh -c 'setsid sleep 1005 & setsid sh -c \"sleep 1005 & exit\" &' &",
	"e-stopped":    "setsid sh -c 'kill -STOP $$; sleep 1005' &",
	"f-deaf":       "trap '' HUP TERM INT; setsid sleep 1005 &",
	"g-many":       "for i in 1 2 3 4 5 6 7 8 9; do setsid sh -c 'sleep 1005 & sleep 1005' & done",
}

// hidden takes the mark off.
const hidden = "setsid -f env -i /bin/sleep 1006 >/dev/null 2>&1; until pgrep -f '^/bin/sleep 1006$' >/dev/null; do :; done"

// What a check started ends with it, whether it passes or not. Where nothing else
// runs, that holds for what hides, too.
func TestNothingOutlivesACheck(t *testing.T) {
	for name, w := range map[string]*world{"new sandbox": freshWorld(t), "the one that runs": newWorld(t)} {
		for end, scripts := range map[string]map[string]string{"passed": {}, "failed": {}} {
			for n, s := range leavers {
				scripts[n] = s + map[string]string{"passed": "\nexit 0", "failed": "\nexit 1"}[end]
			}
			if name == "new sandbox" {
				scripts["h-hidden"] = hidden
			}
			passed, err := w.gate(t.Context(), checks(scripts))
			if end == "passed" && err != nil || end == "failed" && (err == nil || len(passed) > 1) {
				t.Errorf("%s, %s: passed %q: %v", name, end, passed, err)
			}
			if left := w.others(t); len(left) > 0 {
				t.Errorf("%s, %s: left %q", name, end, left)
			}
		}
	}
}

// In a sandbox where commands run, theirs are left alone. What hid among them stays,
// as docs/threat-model.md says.
func TestCommandsOfOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r, out, err := os.Pipe()
	must(t, err)
	go func() {
		_, err := command.Await(ctx, w.socket(t), command.Request{Args: []string{"sh", "-c", "setsid sleep 1007 & echo; sleep 1007"}, Env: []string{"PATH=/bin", "BLAST_CHECK=1"}, Dir: "/", Stdout: out})
		done <- err
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want := "sh -c setsid sleep 1007 & echo; sleep 1007;sleep 1007;sleep 1007"
	for strings.Join(w.others(t), ";") != want {
		if t.Context().Err() != nil {
			t.Fatal("it does not begin")
		}
	}
	if _, err := w.gate(t.Context(), checks(leavers)); err != nil {
		t.Error(err)
	}
	if left := strings.Join(w.others(t), ";"); left != want {
		t.Errorf("there are %q, want %q", left, want)
	}
	if _, err := w.gate(t.Context(), checks(map[string]string{"a": hidden})); err != nil {
		t.Error(err)
	}
	if left := w.others(t); len(left) != 4 || !strings.Contains(strings.Join(left, ";"), "/bin/sleep 1006") {
		t.Errorf("there are %q", left)
	}
	select {
	case err := <-done:
		t.Errorf("the command of another ended: %v", err)
	default:
	}
	cancel()
	<-done
}

// A check that starts processes without end is ended all the same.
func TestForkBomb(t *testing.T) {
	for name, w := range map[string]*world{"new sandbox": freshWorld(t), "the one that runs": newWorld(t)} {
		w.limit(t, 100)
		objs := checks(map[string]string{"a": "f() { f | f & }; f; sleep 1008"})
		objs[0] = shortened(t, objs[0], 300*time.Millisecond)
		begun := time.Now()
		_, err := w.gate(t.Context(), objs)
		if err == nil { // its time is over, or its first shell gave up
			t.Errorf("%s: passed", name)
		}
		if left := w.others(t); len(left) > 0 {
			t.Errorf("%s: left %d, such as %q", name, len(left), left[0])
		}
		t.Logf("%s: over after %v", name, time.Since(begun))
	}
}
