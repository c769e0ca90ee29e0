package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/network/traffic"
)

// totals is what became of each rule, and what the kernel counted.
func (s *sightings) totals(t traffic.Totals) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSince %s:\n", when(t.Since))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tCONNECTIONS\tOPEN\tQUESTIONS\tREFUSED\tOUT\tIN\tPACKETS")
	packets := map[string]uint64{}
	refused, bytes := uint64(0), uint64(0)
	for _, c := range t.Filter {
		if c.Refuses {
			refused, bytes = refused+c.Packets, bytes+c.Bytes
		} else if c.Rule != "" {
			packets[itemOf(c.Rule)] += c.Packets
		}
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(t.Rules)), func(rule string) bool { return !matchesRule(s.cmd.Rule, rule) })
	for _, rule := range names {
		n := t.Rules[rule]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", ruleOf(rule), n.Connections, n.Open, n.Questions, n.Refused, bytesOf(n.Sent), bytesOf(n.Received), number(packets[rule]))
	}
	if len(names) == 0 {
		fmt.Fprintln(&b, "No connection, question or refusal.")
	} else {
		_ = w.Flush()
	}
	s.limits(&b, t.Limits)
	if s.cmd.Rule == "" {
		fmt.Fprintf(&b, "The packet filter refused %s (%s).\n", counted(refused, "packet"), bytesOf(bytes))
	}
	if t.Delayed > 0 && s.cmd.Rule == "" {
		fmt.Fprintf(&b, "New connections had to ask again %s, after a second or more: too many waited already.\n", counted(t.Delayed, "time"))
	}
	if t.Dropped > 0 {
		fmt.Fprintf(&b, "%d lines could not be written: is the disk of /run full?\n", t.Dropped)
	}
	return b.String()
}

// limits is what each rule's limits did, where they did something.
func (s *sightings) limits(out io.Writer, all []traffic.Limits) {
	all = slices.DeleteFunc(slices.Clone(all), func(l traffic.Limits) bool {
		return l.Idle() || !matchesRule(s.cmd.Rule, l.Rule)
	})
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(out, "Limits, since blastd began to serve the environment:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tREFUSED\tWAITED OUT\tWAITED IN\tDROPPED\tQUOTA OUT\tQUOTA IN")
	for _, l := range all {
		name := "all"
		if l.Rule != "" {
			name = ruleOf(l.Rule)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", name, l.Refused(), waited(l.Egress), waited(l.Ingress),
			l.Egress.Dropped+l.Ingress.Dropped, quota(l.Egress), quota(l.Ingress))
	}
	_ = w.Flush()
}

func waited(p traffic.Pace) string {
	if p.Slowed == 0 {
		return "-"
	}
	return duration(p.Waited)
}

// quota is in the units in which quotas are written.
func quota(p traffic.Pace) string {
	if p.Budget == 0 {
		return "-"
	}
	return fmt.Sprintf("%s of %s", block.FormatSize(roundSize(max(p.Used, 0))), block.FormatSize(p.Budget))
}
