//go:build linux

package breakout

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/breakout/bombs"
	"blast.example/blast/testfixtures/pace"
)

// patience is how long the host may take to answer while a bomb goes off.
var patience = pace.Of(10 * time.Second)

const smallEnv = "small"

// bombs lets all of them go off, outside and in the small sandbox.
func (w *world) bombs() {
	for _, b := range bombs.All() {
		if !chosen("bomb-" + b.Name) {
			continue
		}
		dir := b.Host
		if dir == "" {
			dir = w.folder
		}
		out, err := exec.Command(filepath.Join(w.bin, "breaker"), "bomb", b.Name, dir).CombinedOutput() //nolint:noctx // it ends by itself
		if reached, why := reached(out); err != nil || reached < b.Size {
			w.t.Errorf("bomb %s: its control got no further than %d of %d, so it proves nothing: %s %v", b.Name, reached, b.Size, why, err)
			continue
		}
		w.explode(b)
	}
	if chosen("bomb-everywhere") {
		w.forkBomb()
	}
}

// explode lets one go off inside, while the host is asked for what it does.
func (w *world) explode(b bombs.Bomb) {
	w.revive()
	var out bytes.Buffer
	cmd := w.command("-e", smallEnv, "run", "--", "/workspace/breaker", "bomb", b.Name, b.Dir)
	cmd.Stdout = &out
	start := time.Now()
	w.try(cmd.Start())
	w.answers(b.Name)
	err := cmd.Wait()
	took := time.Since(start).Round(time.Millisecond)
	n, why := reached(out.Bytes())
	if n >= b.Size {
		w.t.Errorf("bomb %s (%s): it got to %d, and the limit is below", b.Name, b.What, n)
	}
	if took > 3*patience {
		w.t.Errorf("bomb %s: it took %v to stop it", b.Name, took)
	}
	w.t.Logf("bomb %s: stopped at %d of %d: %s %v (%v)", b.Name, n, b.Size, why, err, took)
	w.layerIsBounded(b.Name)
}

// reached reads what a bomb says of itself; nothing if it was killed.
func reached(out []byte) (n int, why string) {
	_, _ = fmt.Sscan(string(out), &n)
	_, why, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return n, why
}

// revive makes the small sandbox anew if the last bomb ended it with its process 1, and removes what that
// left: it would be the reason for which the next one is stopped.
func (w *world) revive() {
	w.t.Helper()
	tidy := []string{"-e", smallEnv, "run", "--", "sh", "-c", "rm -rf /tmp/bomb* /dev/shm/bomb* /home/sandbox/bomb*"}
	if w.command(tidy...).Run() == nil {
		return
	}
	// Its /tmp may take all memory there is, so that nothing starts any more.
	w.blast("-e", smallEnv, "destroy", "--auto-approve")
	w.blast("-e", smallEnv, "apply", "--auto-approve")
}

// answers asks for the environment's status: what a person would do who wonders.
func (w *world) answers(what string) {
	start := time.Now()
	w.blast("-e", smallEnv, "status")
	if took := time.Since(start); took > patience {
		w.t.Errorf("%s: blast status took %v", what, took)
	}
}

// layerIsBounded looks at what the sandbox's writable layer takes of the host's disk.
func (w *world) layerIsBounded(what string) {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(w.project, ".blast", smallEnv, "layer.img"), &st); err != nil {
		w.t.Errorf("%s: %v", what, err)
		return
	}
	if st.Blocks*512 > 33<<20 || st.Size > 33<<20 {
		w.t.Errorf("%s: the layer of 32 MiB takes %d bytes", what, st.Blocks*512)
	}
}

// forkBomb lets one go off that doesn't end, and ends it.
func (w *world) forkBomb() {
	w.revive()
	cmd := w.command("-e", smallEnv, "run", "--", "/workspace/breaker", "everywhere")
	w.try(cmd.Start())
	defer func() { _ = cmd.Wait() }()
	w.fullOfTasks()
	w.answers("a fork bomb")
	start := time.Now()
	w.blast("-e", smallEnv, "kill")
	took := time.Since(start)
	if took > patience {
		w.t.Errorf("a fork bomb: blast kill took %v", took)
	}
	// What has ended and is not yet asked about (Z) does nothing any more.
	out := w.blast("-e", smallEnv, "run", "--", "sh", "-c", "grep -h '^State:' /proc/[0-9]*/status | grep -vc Z")
	if n, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || n > 4 {
		w.t.Errorf("a fork bomb: %s processes are left", out)
	}
	w.t.Logf("a fork bomb: ended in %v", took.Round(time.Millisecond))
}

// fullOfTasks waits until the sandbox has as many as it may.
func (w *world) fullOfTasks() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		found, err := filepath.Glob("/sys/fs/cgroup/pids/blast/*/pids.current")
		w.try(err)
		if v2, err := filepath.Glob("/sys/fs/cgroup/blast/*/pids.current"); err == nil {
			found = append(found, v2...)
		}
		for _, path := range found {
			var n int
			b, err := os.ReadFile(path)
			if _, e := fmt.Sscan(string(b), &n); err == nil && e == nil && n >= 60 {
				return
			}
		}
	}
	w.t.Error("a fork bomb: it never fills the sandbox")
}
