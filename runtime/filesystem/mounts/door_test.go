//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Who tries without end to get at files that the host makes gets none that a pattern hides,
// by no way, though a mask takes milliseconds; and each of the others.
func TestDoor(t *testing.T) {
	w, _ := attacked(t)
	w.sync(t)
	for how := range snatches {
		for suffix, want := range map[string]int{".pem": 0, ".free": gaps} {
			t.Run(how+suffix, func(t *testing.T) {
				w.shell(t, "rm -rf gap stash; mkdir gap stash; echo >gap/first.pem")
				eventually(t, "not masked", func() bool {
					_, out := w.run(t, box1, "cat /workspace/gap/first.pem")
					return strings.Contains(out, "Permission")
				})
				wait := w.spawn(t.Context(), box1, program, "snatch", how, suffix)
				for i := range gaps {
					w.shell(t, fmt.Sprintf("printf '#!/bin/sh\n' >stash/x%d; chmod 755 stash/x%d; mv stash/x%d gap/%d%s", i, i, i, i, suffix))
				}
				code, out := wait()
				if got, err := strconv.Atoi(out); err != nil || code != 0 || got != want {
					t.Errorf("got %s of %d (exit %d)", out, gaps, code)
				}
			})
		}
	}
}

// What a name that is hidden was given by the host is shown under the next one.
func TestHostMayRename(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	w.shell(t, "echo x >n.pem")
	eventually(t, "not masked", func() bool {
		_, out := w.run(t, box1, "cat /workspace/n.pem")
		return strings.Contains(out, "Permission")
	})
	time.Sleep(50 * time.Millisecond) // the guard has looked again
	w.shell(t, "mv n.pem n.txt; mv a.pem a.txt")
	eventually(t, "not shown", func() bool { code, _ := w.run(t, box1, "cat /workspace/n.txt /workspace/a.txt"); return code == 0 })
	w.sees(t, tree)
}

// Nobody waits for a blastd that is gone, and masks stay.
func TestDoorIsOpenWithoutBlastd(t *testing.T) {
	w, _ := globbed(t, globFiles(), globs...)
	w.must(t, box1, "for i in 1 2 3 4 5; do cat /workspace/app.py; done")
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.must(t, box1, "cat /workspace/app.py")
	w.refuses(t, box1, "cat a.pem")
}

// Many who open files at once all get an answer, while names change all the time.
func TestDoorUnderLoad(t *testing.T) {
	w, tree := globbed(t, globFiles(), globs...)
	var waits []func() (int, string)
	for i := range 8 {
		waits = append(waits, w.spawn(t.Context(), box1, "/bin/sh", "-c", fmt.Sprintf("cd /workspace && mkdir l%d && for i in $(seq 1000); do echo x >l%d/$i; read x <app.py || exit 3; rm l%d/$i; done; mv l%d m%d", i, i, i, i, i)))
	}
	for _, wait := range waits {
		if code, out := wait(); code != 0 {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	w.sees(t, tree)
}

// What an open and close of a file costs where patterns hide something: -run TestDoorCost -v.
func TestDoorCost(t *testing.T) {
	with, _ := globbed(t, globFiles(), globs...)
	without, _ := globbed(t, globFiles())
	opens := func(w *world) time.Duration {
		inside := fmt.Sprintf("/proc/%d/root/workspace/app.py", w.pid(t, box1))
		begun := time.Now()
		for range 500 {
			f, err := os.Open(inside)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		return time.Since(begun) / 500
	}
	var a, b []time.Duration
	for range 20 {
		a, b = append(a, opens(with)), append(b, opens(without))
	}
	slices.Sort(a)
	slices.Sort(b)
	first := func(w *world, round int) time.Duration {
		for i := range 200 {
			w.put(t, fmt.Sprintf("first/%d/%d", round, i), "x")
		}
		inside := fmt.Sprintf("/proc/%d/root/workspace/first/%d/", w.pid(t, box1), round)
		begun := time.Now()
		for i := range 200 {
			f, err := os.Open(inside + strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		return time.Since(begun) / 200
	}
	var c, d []time.Duration
	for i := range 10 {
		c, d = append(c, first(with, i)), append(d, first(without, i))
	}
	slices.Sort(c)
	slices.Sort(d)
	t.Logf("first open: with patterns %v (%v to %v), without %v (%v to %v)", c[5], c[0], c[9], d[5], d[0], d[9])
	t.Logf("with patterns %v (%v to %v), without %v (%v to %v)", a[10], a[0], a[19], b[10], b[0], b[19])
}
