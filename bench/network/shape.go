package main

import (
	"cmp"
	"fmt"
	"os/exec"

	"blast.example/blast/bench/network/load"
)

// shape measures limits of bandwidth, in both directions.
func shape(w *world) error {
	fmt.Printf("\nLimits of bandwidth, through a sandbox: payload at the receiver, over 5 s.\n\n")
	t := newTable("limit", "direction", "Mbit/s", "off by", "longest time without a byte", "failed")
	for _, l := range []struct {
		env  string
		rate float64
	}{{"10mbit", 10e6}, {"100mbit", 100e6}} {
		if err := w.shapeOf(l.env, func(way string, r load.Result) {
			t.add(l.env, way, fmt.Sprintf("%.2f", r.BitRate/1e6), fmt.Sprintf("%+.1f %%", (r.BitRate/l.rate-1)*100), fmt.Sprintf("%d ms", r.Widest.Milliseconds()), cmp.Or(r.Why, "-"))
		}); err != nil {
			return err
		}
	}
	t.print()
	return nil
}

func (w *world) shapeOf(env string, say func(way string, r load.Result)) error {
	down, err := w.up(env)
	defer down()
	if err != nil {
		return err
	}
	p := &path{name: env, proto: load.TCP, at: at(far, load.PortRaw), start: func(args ...string) *exec.Cmd {
		return w.command(append([]string{"-e", env, "run", "--", "/workspace/client", client}, args...)...)
	}}
	for verb, way := range map[string]string{"up": "egress", "down": "ingress"} {
		r, err := p.client(verb)
		if err != nil {
			return err
		}
		say(way, r)
	}
	return nil
}
