package main

import (
	"fmt"
	"os"
	"os/exec"
	"text/tabwriter"

	"blast.example/blast/bench/network/load"
)

// shape measures limits of bandwidth, in both directions.
func shape(w *world) error {
	fmt.Println("\nlimits of bandwidth: payload at the receiver, over 5 s; the longest time without a byte")
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(out, "limit\tdirection\tMbit/s\toff by\tlongest gap ms\t")
	for _, l := range []struct {
		env  string
		rate float64
	}{{"10mbit", 10e6}, {"100mbit", 100e6}} {
		if err := w.shapeOf(l.env, func(way string, r load.Result) {
			_, _ = fmt.Fprintf(out, "%s\t%s\t%.2f\t%+.2f %%\t%.1f\t%s\n", l.env, way, r.BitRate/1e6, (r.BitRate/l.rate-1)*100, float64(r.Widest.Microseconds())/1000, r.Why)
		}); err != nil {
			return err
		}
	}
	return out.Flush()
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
