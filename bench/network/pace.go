package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"blast.example/blast/bench/network/load"
)

// How much load there is, where the environment doesn't say another.
const (
	paceRate = 2000 // new connections a second
	paceFor  = time.Minute
)

// pace measures what becomes of new connections that come faster and faster or not,
// whether or not those before are done.
func pace(w *world) error {
	rate, span := paceRate, paceFor
	if n, err := strconv.Atoi(os.Getenv("RATE")); err == nil {
		rate = n
	}
	if d, err := time.ParseDuration(os.Getenv("SPAN")); err == nil {
		span = d
	}
	fmt.Printf("\n%d new connections a second for %v, each for a byte there and back; blastd is a fresh one for each column.\n\n", rate, span)
	s := &sheet{}
	for _, p := range w.loaded() {
		s.ways = append(s.ways, p.name)
		if err := w.withDaemon(func(pid int) error { return w.paced(s, pid, p, rate, span) }); err != nil {
			return err
		}
	}
	s.print()
	return nil
}

func (w *world) paced(s *sheet, pid int, p *path, rate int, span time.Duration) error {
	idle := map[string]delays{}
	for range 5 {
		if err := w.ask(idle); err != nil {
			return err
		}
	}
	before, blastd, server := machineOf(), cpuOf(pid), cpuOf(w.servers[far])
	var r load.Result
	got, err := w.while(func() (err error) {
		r, err = p.client("-n", strconv.Itoa(rate), "-for", span.String(), "pace")
		return err
	})
	if err != nil {
		return err
	}
	blastd, server = cpuOf(pid)-blastd, cpuOf(w.servers[far])-server
	busy := machineOf().since(before)
	sum, limits, err := w.counted(ruleOf(p))
	if err != nil {
		return err
	}
	lost, err := w.drops()
	if err != nil {
		return err
	}
	each := func(d time.Duration) string {
		return fmt.Sprintf("%.0f", float64(d.Microseconds())/float64(max(r.Count, 1)))
	}
	s.put("tried", strconv.Itoa(r.Count+r.Failed))
	s.put("worked", strconv.Itoa(r.Count))
	s.put("failed", failuresOf(r))
	s.put("counted by blastd: made, refused by a limit", fmt.Sprintf("%d, %d", sum.Connections, limits))
	s.put("dropped by the kernel: SYNs, others", fmt.Sprintf("%d, %d", lost.queue, lost.tracker))
	s.put("entries of connection tracking at the end", strconv.FormatInt(lost.tracked, 10))
	s.put("worked a second", fmt.Sprintf("%.0f", float64(r.Count)/r.Took.Seconds()))
	s.put("p50, p99, longest", fmt.Sprintf("%s, %s, %s", brief(r.P50), brief(r.P99), brief(r.Max)))
	s.put("CPU for each, µs: blastd, client, server", fmt.Sprintf("%s, %s, %s", each(blastd), each(r.CPU), each(server)))
	s.put("the machine meanwhile", busy)
	s.put("`blast status` before, half of them", idle["status"].String())
	s.answers(got)
	after := footprintOf(pid)
	s.put("blastd afterwards", fmt.Sprintf("%.0f MiB, %d descriptors, %d threads", mib(after.rss), after.files, after.threads))
	return nil
}
