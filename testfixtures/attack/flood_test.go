package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/attack/flood"
)

// Bounds of what a flood may cost.
const (
	memoryBound  = 384 << 20        // bytes that blastd has more at most
	threadsBound = 100              // threads, likewise
	answerBound  = 20 * time.Second // blast status, and a page for the neighbour, on a loaded machine
	logBound     = 8 << 20          // bytes of the record of refusals
)

// A neighbour is a well-behaved program in another sandbox.
type neighbour struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (w *world) startNeighbour() *neighbour {
	w.t.Helper()
	cmd := w.command("-e", neighbourName, "run", "--", "/workspace/attacker", "neighbour")
	in, err := cmd.StdinPipe()
	w.try(err)
	out, err := cmd.StdoutPipe()
	w.try(err)
	cmd.Stderr = os.Stderr
	w.try(cmd.Start())
	n := &neighbour{cmd, in, bufio.NewReader(out)}
	if said, err := n.ask(); err != nil || !strings.HasPrefix(said, "ok") {
		w.t.Fatalf("the neighbour doesn't work: %q, %v", said, err)
	}
	return n
}

// ask lets it fetch a page.
func (n *neighbour) ask() (string, error) {
	if _, err := io.WriteString(n.in, "ask\n"); err != nil {
		return "", err
	}
	said, err := n.out.ReadString('\n')
	return strings.TrimSpace(said), err
}

func (n *neighbour) stop() {
	_ = n.in.Close()
	_ = n.cmd.Wait()
}

// flood exhausts the gate in each way, and looks at the daemon and the neighbour meanwhile.
func (w *world) flood() {
	w.tap.Pause(true)
	defer w.tap.Pause(false)
	n := w.startNeighbour()
	defer n.stop()
	pid := w.daemon()
	for _, kind := range flood.Kinds() {
		if !chosen(kind) {
			continue
		}
		before := measure(pid)
		resetPeak(pid)
		done := make(chan flood.Report, 1)
		go func() { done <- w.pour(kind) }()
		worst := w.watch(n, done)
		after := measure(pid)
		w.t.Logf("%-15s through %5d refused %5d in %6v  memory %+4d MiB peak %+4d, threads %+3d, descriptors %+4d; status %v, neighbour %v", kind,
			worst.report.Through, worst.report.Refused, worst.report.Took.Round(time.Millisecond), (after.memory-before.memory)>>20, (after.peak-before.memory)>>20,
			worst.threads-before.threads, after.files-before.files, worst.status.Round(time.Millisecond), worst.neighbour.Round(time.Millisecond))
		w.bounded(kind, before, after, worst)
	}
	if now := w.daemon(); now != pid {
		w.t.Errorf("blastd ended: %d is now %d", pid, now)
	}
}

// only limits a run to the floods and probes whose names it matches, for who works on one.
var only = os.Getenv("BLAST_ATTACK_ONLY")

func chosen(name string) bool { return regexp.MustCompile(only).MatchString(name) }

func (w *world) bounded(kind string, before, after cost, worst worst) {
	if c := worst.report.Control + worst.report.After; c != "" {
		w.t.Errorf("flood %s: a few of it, before %q or after %q", kind, worst.report.Control, worst.report.After)
	}
	if worst.report.Through+worst.report.Refused != int64(flood.Floods()[kind].Times) {
		w.t.Errorf("flood %s: it didn't end: %+v", kind, worst.report)
	}
	if more := after.peak - before.memory; more > memoryBound {
		w.t.Errorf("flood %s: blastd had %d MiB more", kind, more>>20)
	}
	if more := worst.threads - before.threads; more > threadsBound {
		w.t.Errorf("flood %s: blastd had %d threads more", kind, more)
	}
	if worst.status > answerBound || worst.neighbour > answerBound || worst.failed != "" {
		w.t.Errorf("flood %s: status took %v, a page for the neighbour %v %s", kind, worst.status, worst.neighbour, worst.failed)
	}
	env := state.NewEnv(w.project, "victim", 0, 0).Run
	if s, err := os.Stat(filepath.Join(env, denial.File)); err == nil && s.Size() > logBound {
		w.t.Errorf("flood %s: the record of refusals has %d bytes", kind, s.Size())
	}
}

// pour floods in the victim's sandbox.
func (w *world) pour(kind string) (r flood.Report) {
	out, err := w.command("-e", "victim", "run", "--", "/workspace/attacker", "flood", kind).Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		r.Control = err.Error()
	}
	return r
}

// worst is what was worst while a flood went on.
type worst struct {
	report            flood.Report
	status, neighbour time.Duration
	threads           int64
	failed            string
}

func (w *world) watch(n *neighbour, done <-chan flood.Report) (out worst) {
	pid := w.daemon()
	for {
		start := time.Now()
		said, err := n.ask()
		if out.neighbour = max(out.neighbour, time.Since(start)); err != nil || !strings.HasPrefix(said, "ok") {
			out.failed = fmt.Sprintf("(the neighbour said %q, %v)", said, err)
		}
		start = time.Now()
		if b, err := w.command("-e", "victim", "status").CombinedOutput(); err != nil {
			out.failed = fmt.Sprintf("(status: %v %s)", err, b)
		}
		out.status = max(out.status, time.Since(start))
		out.threads = max(out.threads, measure(pid).threads)
		select {
		case out.report = <-done:
			return out
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// daemon is the pid of this world's blastd, which must run.
func (w *world) daemon() int {
	w.t.Helper()
	pid := w.blastd.Daemon()
	if pid == 0 {
		w.t.Fatal("no blastd runs")
	}
	return pid
}

// cost is what a process takes.
type cost struct{ memory, peak, threads, files int64 }

func measure(pid int) (c cost) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		var n int64
		name, rest, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			c.memory = n << 10
		case "VmHWM":
			c.peak = n << 10
		case "Threads":
			c.threads = n
		}
	}
	es, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	c.files = int64(len(es))
	return c
}

// resetPeak forgets the highest memory so far; proc(5), clear_refs.
func resetPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }
