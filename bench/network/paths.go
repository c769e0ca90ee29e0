package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blast.example/blast/bench/network/load"
)

// A path is a way from a client to a server.
type path struct {
	name, proto string
	at          []string // of the server
	proxy       string
	start       func(args ...string) *exec.Cmd // the client
	pids        []int                          // of the server and of all on the way

	got map[string][]float64 // by measure
}

// Measures.
const (
	one       = "1 conn"
	eight     = "8 conns"
	bulkCPU   = "CPU/GiB"
	fresh     = "new/s"
	freshCPU  = "CPU/1000"
	trip50    = "p50"
	trip99    = "p99"
	failures  = "failed"
	rounds    = 3
	each      = time.Second
	atOnce    = 8 // new connections
	proxyPort = "3128"
)

func paths(w *world) error {
	down, err := w.up("paths")
	defer down()
	if err != nil {
		return err
	}
	daemon, err := w.daemon()
	if err != nil {
		return err
	}
	all := w.allPaths(daemon)
	for range rounds {
		for _, p := range all {
			p.measure()
		}
	}
	fmt.Printf("\nWays to a server: medians of %d rounds, in turn; CPU is that of client, server and all on the way; x is against loopback, of the same protocol.\n\n", rounds)
	report(all)
	return nil
}

func (w *world) allPaths(daemon int) []*path {
	host := w.clientOn("")
	behind := w.clientOn(clientNet)
	sandbox := func(args ...string) *exec.Cmd {
		return w.command(append([]string{"-e", "paths", "run", "--", "/workspace/client", client}, args...)...)
	}
	farOnes, nearOnes := []int{w.servers[far]}, []int{w.servers[near]}
	blastd := append([]int{daemon}, farOnes...)
	all := []*path{
		{name: "loopback", proto: load.TCP, at: at(near, load.PortRaw), start: host, pids: nearOnes},
		{name: "veth, NAT", proto: load.TCP, at: at(far, load.PortRaw), start: behind, pids: farOnes},
		{name: "Blast, cidrs", proto: load.TCP, at: at(far, load.PortRaw), start: sandbox, pids: blastd},
		{name: "Blast, domains", proto: load.TCP, at: at(load.Name, load.PortName), start: sandbox, pids: blastd},
	}
	for proto, port := range map[string]int{load.TLS: load.PortTLS, load.HTTP: load.PortHTTP} {
		one := func(host string) []string { return []string{fmt.Sprintf("%s:%d", host, port)} }
		all = append(all,
			&path{name: "loopback", proto: proto, at: one(near), start: host, pids: nearOnes},
			&path{name: "veth, NAT", proto: proto, at: one(far), start: behind, pids: farOnes},
			&path{name: "Blast, domains", proto: proto, at: one(load.Name), start: sandbox, pids: blastd},
		)
	}
	all = append(all, w.proxies(behind, farOnes)...)
	slices.SortStableFunc(all, func(a, b *path) int { return -strings.Compare(a.proto, b.proto) })
	return all
}

func at(host string, first int) (all []string) {
	for _, p := range ports(first) {
		all = append(all, host+":"+p)
	}
	return all
}

// clientOn starts a client in a network namespace; "" is the host's.
func (w *world) clientOn(ns string) func(args ...string) *exec.Cmd {
	return func(args ...string) *exec.Cmd {
		args = append([]string{filepath.Join(w.bin, "network"), client}, args...)
		if ns != "" {
			args = append([]string{"nsenter", "--net=/run/netns/" + ns}, args...)
		}
		return exec.Command(args[0], args[1:]...)
	}
}

// proxies starts what there is of them on the host.
func (w *world) proxies(behind func(...string) *exec.Cmd, server []int) (all []*path) {
	conf := filepath.Join(w.dir, "tinyproxy.conf")
	text := "Port " + proxyPort + "\nListen " + router + "\nMaxClients 1000\nTimeout 600\nLogLevel Critical\nLogFile \"" + filepath.Join(w.dir, "tinyproxy.log") + "\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil
	}
	mitmdump := func(port string, more ...string) []string {
		return append([]string{"sh", "-c", `exec "$@" 2>/dev/null`, "sh", "mitmdump", "--quiet", "--listen-host", router, "--listen-port", port}, more...)
	}
	web := []string{fmt.Sprintf("%s:%d", far, load.PortHTTP)}
	for _, p := range []struct {
		name, proto string
		at          []string
		port        string
		args        []string
	}{
		{"tinyproxy", load.TCP, at(far, load.PortRaw), proxyPort, []string{"tinyproxy", "-d", "-c", conf}},
		{"mitmproxy, reads nothing", load.TCP, at(far, load.PortRaw), "3129", mitmdump("3129", "--ignore-hosts", ".*")},
		{"mitmproxy, reads HTTP", load.HTTP, web, "3130", mitmdump("3130", "--set", "stream_large_bodies=64k")},
	} {
		cmd, _, err := w.background(p.args...)
		if err != nil {
			fmt.Printf("%s is not measured: %v\n", p.name, err)
			continue
		}
		way := &path{
			name: p.name, proto: p.proto, at: p.at, proxy: router + ":" + p.port, start: behind,
			pids: append([]int{cmd.Process.Pid}, server...),
		}
		if why := way.silent(); why != nil {
			fmt.Printf("%s is not measured: %v\n", p.name, why)
			continue
		}
		all = append(all, way)
	}
	return all
}

// silent waits until the way is there, for a minute at most, and says why not: mitmproxy is
// slow to start.
func (p *path) silent() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		r, err := p.client("-for", "10ms", "trip")
		if err == nil && r.Count > 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, errors.New(r.Why))
		}
	}
}

// client runs one and returns what it counted.
func (p *path) client(args ...string) (r load.Result, err error) {
	cmd := p.start(append([]string{"-proto", p.proto, "-proxy", p.proxy, "-at", strings.Join(p.at, ",")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s, %s: %w", p.name, p.proto, err)
	}
	return r, json.Unmarshal(out, &r)
}

// costs runs a client and says what it and all on the way used.
func (p *path) costs(args ...string) (r load.Result, cpu time.Duration) {
	before := cpuOf(p.pids...)
	r, err := p.client(args...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
	}
	if r.Why != "" {
		fmt.Fprintf(os.Stderr, "network: %s, %s, %s: %d failed: %s\n", p.name, p.proto, args[len(args)-1], r.Failed, r.Why)
	}
	p.note(failures, float64(r.Failed))
	return r, cpuOf(p.pids...) - before + r.CPU
}

func (p *path) measure() {
	span := each.String()
	for name, n := range map[string]string{one: "1", eight: "8"} {
		r, cpu := p.costs("-n", n, "-for", span, "bulk")
		p.note(name, float64(r.Bytes)/r.Took.Seconds()/(1<<20))
		if name == one {
			p.note(bulkCPU, cpu.Seconds()/float64(r.Bytes)*(1<<30))
		}
	}
	r, cpu := p.costs("-n", fmt.Sprint(atOnce), "-for", span, "churn")
	p.note(fresh, float64(r.Count)/r.Took.Seconds())
	p.note(freshCPU, cpu.Seconds()/float64(r.Count)*1000)
	r, _ = p.costs("-for", span, "trip")
	p.note(trip50, float64(r.P50.Nanoseconds())/1000)
	p.note(trip99, float64(r.P99.Nanoseconds())/1000)
}

func (p *path) note(measure string, v float64) {
	if p.got == nil {
		p.got = map[string][]float64{}
	}
	p.got[measure] = append(p.got[measure], v)
}

func (p *path) median(measure string) float64 {
	vs := slices.Sorted(slices.Values(p.got[measure]))
	if len(vs) == 0 {
		return 0
	}
	return vs[len(vs)/2]
}

func (p *path) sum(measure string) (s float64) {
	for _, v := range p.got[measure] {
		s += v
	}
	return s
}

func report(all []*path) {
	t := newTable("protocol", "way", "MiB/s, 1 connection", "x", "MiB/s, 8", "x", "CPU s/GiB", "x", "new/s, 8 at once", "x", "CPU s/1000 new", "x", "round trip p50", "p99", "failed")
	bases := map[string]*path{}
	for _, p := range all {
		if bases[p.proto] == nil {
			bases[p.proto] = p
		}
		cells := []string{p.proto, p.name}
		for _, m := range []struct{ measure, format string }{{one, "%.0f"}, {eight, "%.0f"}, {bulkCPU, "%.2f"}, {fresh, "%.0f"}, {freshCPU, "%.3f"}} {
			v := p.median(m.measure)
			cells = append(cells, fmt.Sprintf(m.format, v), fmt.Sprintf("%.2f", v/bases[p.proto].median(m.measure)))
		}
		t.add(append(cells, fmt.Sprintf("%.0f µs", p.median(trip50)), fmt.Sprintf("%.0f µs", p.median(trip99)), fmt.Sprintf("%.0f", p.sum(failures)))...)
	}
	t.print()
}
