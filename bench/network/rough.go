package main

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"blast.example/blast/bench/network/load"
)

// Clients that don't behave, and others beside them.
const (
	slowOnes = 500
	halfOnes = 1000
	shutOnes = 20
	roughFor = 20 * time.Second
)

// rough has slow readers, half-open hellos and traffic at once.
func rough(w *world) error {
	fmt.Printf("\nAt once, for %v: %d slow readers, %d connections that are half closed, %d hellos of TLS that are never ended, new connections, a download.\n\n", roughFor, slowOnes, shutOnes, halfOnes)
	address := w.loaded()[0]
	hello := w.from("load", load.TLS, []string{fmt.Sprintf("%s:%d", load.Name, load.PortTLS)})
	span := roughFor.String()
	clients := []struct {
		what string
		p    *path
		args []string
	}{
		{"slow readers: every byte is looked at", address, []string{"-n", strconv.Itoa(slowOnes), "-for", span, "slow"}},
		{"256 KiB there, shut for writing, and all of it back", address, []string{"-n", strconv.Itoa(shutOnes), "-for", span, "shut"}},
		{"half-open hellos: ended by blastd", hello, []string{"-n", strconv.Itoa(halfOnes), "-for", span, "half"}},
		{"200 new connections a second by address", address, []string{"-n", "200", "-for", span, "pace"}},
		{"50 new connections a second of TLS", hello, []string{"-n", "50", "-for", span, "pace"}},
		{"a download", address, []string{"-n", "1", "-for", span, "bulk"}},
	}
	return w.withDaemon(func(pid int) error {
		before := footprintOf(pid)
		results := make([]load.Result, len(clients))
		got, err := w.while(func() error {
			var wg sync.WaitGroup
			errs := make(chan error, len(clients))
			for i, c := range clients {
				wg.Go(func() {
					r, err := c.p.client(c.args...)
					results[i] = r
					errs <- err
				})
			}
			wg.Wait()
			for range clients {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		t := newTable("what", "worked", "failed", "p50", "p99", "longest", "MiB")
		for i, c := range clients {
			r := results[i]
			t.add(c.what, strconv.Itoa(r.Count), failuresOf(r), brief(r.P50), brief(r.P99), brief(r.Max), fmt.Sprintf("%.1f", mib(r.Bytes)))
		}
		t.print()
		s := &sheet{ways: []string{"with all of it"}}
		s.answers(got)
		after := footprintOf(pid)
		s.put("blastd before", fmt.Sprintf("%.0f MiB, %d descriptors, %d threads", mib(before.rss), before.files, before.threads))
		s.put("blastd afterwards", fmt.Sprintf("%.0f MiB, %d descriptors, %d threads", mib(after.rss), after.files, after.threads))
		s.print()
		return nil
	})
}
