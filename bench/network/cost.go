package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/bench/network/load"
)

// costFor is how long each kind of connection is made.
const costFor = 5 * time.Second

// cost measures what one new connection costs blastd, from accept to close, and what its
// client and its server. Each is for a byte there and back, eight at once.
func cost(w *world) error {
	down, err := w.up("paths")
	defer down()
	if err != nil {
		return err
	}
	daemon, err := w.daemon()
	if err != nil {
		return err
	}
	fmt.Printf("\nWhat a new connection costs, %d at once for %v; µs of CPU, without what the kernel does in interrupts.\n\n", atOnce, costFor)
	t := newTable("connection", "new/s", "failed", "blastd", "client", "server", "together", "system calls of blastd")
	for _, k := range []struct {
		name, proto string
		at          []string
	}{
		{"by address (cidrs)", load.TCP, at(far, load.PortRaw)},
		{"by name (domains)", load.TCP, at(load.Name, load.PortName)},
		{"TLS", load.TLS, []string{fmt.Sprintf("%s:%d", load.Name, load.PortTLS)}},
		{"HTTP", load.HTTP, []string{fmt.Sprintf("%s:%d", load.Name, load.PortHTTP)}},
	} {
		p := w.from("paths", k.proto, k.at)
		args := []string{"-n", strconv.Itoa(atOnce), "-for", costFor.String(), "churn"}
		if _, err := p.client("-n", "8", "-for", "500ms", "churn"); err != nil { // what is made once is made
			return err
		}
		calls := callsOf(daemon)
		blastd, server := cpuOf(daemon), cpuOf(w.servers[far])
		r, err := p.client(args...)
		if err != nil {
			return err
		}
		blastd, server = cpuOf(daemon)-blastd, cpuOf(w.servers[far])-server
		each := func(d time.Duration) string {
			return fmt.Sprintf("%.0f", float64(d.Microseconds())/float64(max(r.Count, 1)))
		}
		t.add(k.name, fmt.Sprintf("%.0f", float64(r.Count)/r.Took.Seconds()), strconv.Itoa(r.Failed), each(blastd), each(r.CPU), each(server), each(blastd+r.CPU+server), calls(r.Count))
	}
	t.print()
	return nil
}

// callsOf counts the system calls of a process until what it returns is called, which
// says how many that were for each of n. Without perf it is not known.
func callsOf(pid int) func(n int) string {
	var out bytes.Buffer
	cmd := exec.Command("perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", strconv.Itoa(pid))
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		return func(int) string { return "not known: no perf" }
	}
	return func(n int) string {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		count, err := strconv.Atoi(strings.Split(out.String(), ",")[0])
		if err != nil {
			return "not known: perf can't"
		}
		return fmt.Sprintf("%.1f", float64(count)/float64(max(n, 1)))
	}
}
