package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"blast.example/blast/bench/network/load"
)

// How much load there is.
const (
	paceRate = 2000
	paceFor  = 60 * time.Second
	slowOnes = 500
	halfOnes = 1000
	roughFor = 20 * time.Second
)

// many measures what becomes of thousands of connections of one sandbox, and of the
// daemon meanwhile.
func many(w *world) error {
	fmt.Printf("\nload: %d connections at once (of %d: see RLIMIT_NOFILE), %d new ones a second for %v\n", mostOpen(), most, paceRate, paceFor)
	address := w.from("load", load.TCP, at(far, load.PortRaw))
	name := w.from("load", load.TCP, at(load.Name, load.PortName))
	for _, p := range []*path{address, name} {
		if err := w.withDaemon(func(pid int) error { return w.hold(pid, p) }); err != nil {
			return err
		}
	}
	return w.withDaemon(func(pid int) error { return w.flows(pid, address, name) })
}

// withDaemon does something to a blastd that has done nothing else.
func (w *world) withDaemon(do func(pid int) error) error {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := w.daemon(); err != nil {
			break
		}
	}
	down, err := w.up("load")
	defer down()
	if err != nil {
		return err
	}
	pid, err := w.daemon()
	if err != nil {
		return err
	}
	return do(pid)
}

// flows are connections that come and go, and such that don't behave.
func (w *world) flows(pid int, address, name *path) error {
	w.answers("idle")
	for _, p := range []*path{address, name} {
		w.watched(p.name+": new connections", func() error { return p.told("-n", strconv.Itoa(paceRate), "-for", paceFor.String(), "pace") })
	}
	w.watched("slow readers, half-open hellos and traffic", func() error { return w.rough(address) })
	after := footprintOf(pid)
	now, err := w.daemon()
	if err == nil && now != pid {
		err = fmt.Errorf("blastd ended: it was %d, and is %d", pid, now)
	}
	if b, _ := os.ReadFile("/run/blast/blastd.log"); len(b) > 0 {
		fmt.Printf("blastd's log: %s\n", b[max(0, len(b)-4000):])
	}
	fmt.Printf("blastd afterwards: %.1f MiB, %d descriptors, %d threads\n", mib(after.rss), after.files, after.threads)
	return err
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func (w *world) from(env, proto string, to []string) *path {
	return &path{name: "to " + to[0], proto: proto, at: to, start: func(args ...string) *exec.Cmd {
		return w.command(append([]string{"-e", env, "run", "--", "/workspace/client", client}, args...)...)
	}}
}

// told runs a client and prints what it counted.
func (p *path) told(args ...string) error {
	r, err := p.client(args...)
	if err == nil {
		tell(args[len(args)-1], r)
	}
	return err
}

func tell(what string, r load.Result) {
	fmt.Printf("  %s: %d worked, %d failed %s, in %v; p50 %v, p99 %v", what, r.Count, r.Failed, r.Why, r.Took.Round(time.Millisecond), r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond))
	if r.Bytes > 0 {
		fmt.Printf("; %.1f MiB", mib(r.Bytes))
	}
	fmt.Println()
}

// hold opens as many connections as there may be, looks at the daemon, and has each say
// something once more.
func (w *world) hold(pid int, p *path) error {
	before := footprintOf(pid)
	cmd := p.start("-at", strings.Join(p.at, ","), "-n", strconv.Itoa(mostOpen()), "hold")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }()
	results := json.NewDecoder(out)
	var r load.Result
	if err := results.Decode(&r); err != nil {
		return err
	}
	fmt.Printf("%s: open\n", p.name)
	tell("made", r)
	with, n := footprintOf(pid), int64(max(r.Count, 1))
	fmt.Printf("  blastd: %.1f MiB, before %.1f: %.1f KiB for each; %d descriptors, before %d: %.2f for each; %d threads, before %d\n",
		mib(with.rss), mib(before.rss), float64(with.rss-before.rss)/1024/float64(n),
		with.files, before.files, float64(with.files-before.files)/float64(n), with.threads, before.threads)
	w.answers("  meanwhile")
	if _, err := io.WriteString(in, "\n"); err != nil {
		return err
	}
	if err := results.Decode(&r); err != nil {
		return err
	}
	tell("alive", r)
	return nil
}

// answers measures how long commands take.
func (w *world) answers(when string) {
	for _, verb := range []string{"status", "plan"} {
		var worst, sum time.Duration
		const n = 5
		for range n {
			d, err := w.blast("-e", "load", verb)
			if err != nil {
				fmt.Println(err)
			}
			worst, sum = max(worst, d), sum+d
		}
		fmt.Printf("%s: blast %s takes %v, at most %v\n", when, verb, (sum / n).Round(time.Millisecond), worst.Round(time.Millisecond))
	}
}

// watched does something, and asks the daemon meanwhile.
func (w *world) watched(what string, do func() error) {
	fmt.Println(what)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := do(); err != nil {
			fmt.Println(err)
		}
	}()
	var worst time.Duration
	for n := 0; ; n++ {
		d, err := w.blast("-e", "load", "status")
		if err != nil {
			fmt.Println(err)
		}
		worst = max(worst, d)
		select {
		case <-done:
			fmt.Printf("  meanwhile: blast status takes %v at most, of %d\n", worst.Round(time.Millisecond), n+1)
			return
		case <-time.After(time.Second):
		}
	}
}

// rough has several clients at once.
func (w *world) rough(address *path) error {
	hello := w.from("load", load.TLS, []string{fmt.Sprintf("%s:%d", load.Name, load.PortTLS)})
	span := roughFor.String()
	var wg sync.WaitGroup
	for _, c := range []struct {
		p    *path
		args []string
	}{
		{address, []string{"-n", strconv.Itoa(slowOnes), "-for", span, "slow"}},
		{hello, []string{"-n", strconv.Itoa(halfOnes), "-for", span, "half"}},
		{address, []string{"-n", "200", "-for", span, "pace"}},
		{hello, []string{"-n", "50", "-for", span, "pace"}},
		{address, []string{"-n", "1", "-for", span, "bulk"}},
	} {
		wg.Go(func() {
			if err := c.p.told(c.args...); err != nil {
				fmt.Println(err)
			}
		})
	}
	wg.Wait()
	return nil
}
