package network

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// limitItems tell what changes of the limits of a rule that stays, or of the
// whole environment.
func limitItems(prefix string, from, to Limits) []plan.Item {
	fb, tb, fc, tc := from.Bandwidth, to.Bandwidth, from.Connections, to.Connections
	fm, tm := fc.Max, tc.Max
	if prefix == "" { // without a line it is limited, too
		fm, tm = cmp.Or(fm, DefaultOpen), cmp.Or(tm, DefaultOpen)
	}
	return slices.Concat(
		wording.Changed(prefix+"bandwidth.egress", textOfRate(fb.Egress), textOfRate(tb.Egress), more(fb.Egress, tb.Egress)),
		wording.Changed(prefix+"bandwidth.ingress", textOfRate(fb.Ingress), textOfRate(tb.Ingress), more(fb.Ingress, tb.Ingress)),
		wording.Changed(prefix+"connections.max", textOfCount(fc.Max), textOfCount(tc.Max), more(int64(fm), int64(tm))),
		wording.Changed(prefix+"connections.rate", fc.Rate.String(), tc.Rate.String(), faster(fc.Rate, tc.Rate)))
}

func quotaItems(prefix string, from, to Quota) []plan.Item {
	window := more(int64(to.Window), int64(from.Window)) // the sooner it starts anew, the more gets through
	if from == (Quota{}) || to == (Quota{}) {
		window = plan.Same // the bytes tell
	}
	return slices.Concat(
		wording.Changed(prefix+"quota.egress", textOfSize(from.Egress), textOfSize(to.Egress), more(from.Egress, to.Egress)),
		wording.Changed(prefix+"quota.ingress", textOfSize(from.Ingress), textOfSize(to.Ingress), more(from.Ingress, to.Ingress)),
		wording.Changed(prefix+"quota.window", textOfTime(from.Window), textOfTime(to.Window), window))
}

// more is the direction of a limit that becomes another; 0 is none.
func more(from, to int64) plan.Access {
	switch {
	case from == to:
		return plan.Same
	case to == 0 || from != 0 && to > from:
		return plan.Widen
	}
	return plan.Narrow
}

// faster compares what may come in the long run, and at once.
func faster(from, to Rate) plan.Access {
	switch {
	case from.N == 0 || to.N == 0:
		return more(from.N, to.N)
	case from == to:
		return plan.Same
	}
	a, b := from.perHour(), to.perHour()
	switch {
	case b >= a && to.N >= from.N:
		return plan.Widen
	case b <= a && to.N <= from.N:
		return plan.Narrow
	}
	return plan.Both
}

func (r Rate) perHour() int64 {
	if r.Per <= 0 {
		return 0
	}
	return r.N * int64(time.Hour/r.Per)
}

// cover reports whether whoever is limited so may do all that m allows.
func (l Limits) cover(m Limits) bool {
	for _, a := range []plan.Access{
		more(l.Bandwidth.Egress, m.Bandwidth.Egress), more(l.Bandwidth.Ingress, m.Bandwidth.Ingress),
		more(int64(l.Connections.Max), int64(m.Connections.Max)), faster(l.Connections.Rate, m.Connections.Rate),
	} {
		if a != plan.Same && a != plan.Narrow {
			return false
		}
	}
	return true
}

func (q Quota) cover(r Quota) bool {
	wider := func(a plan.Access) bool { return a == plan.Widen }
	if q == (Quota{}) {
		return true
	}
	return !wider(more(q.Egress, r.Egress)) && !wider(more(q.Ingress, r.Ingress)) && (r == Quota{} || !wider(more(int64(r.Window), int64(q.Window))))
}

// text is "at most 10mbit out, 200 connections", or nothing.
func (l Limits) text(q Quota) string {
	var parts []string
	add := func(value, what string) {
		if value != "" {
			parts = append(parts, value+what)
		}
	}
	again := ""
	if q.Window != 0 {
		again = " each " + textOfTime(q.Window)
	}
	add(textOfRate(l.Bandwidth.Egress), " out")
	add(textOfRate(l.Bandwidth.Ingress), " in")
	add(textOfCount(l.Connections.Max), " connections")
	add(l.Connections.Rate.String(), " new ones")
	add(textOfSize(q.Egress), " out"+again)
	add(textOfSize(q.Ingress), " in"+again)
	if parts == nil {
		return ""
	}
	return "at most " + strings.Join(parts, ", ")
}

// aside is text behind what is limited so.
func (l Limits) aside(q Quota) string {
	if s := l.text(q); s != "" {
		return " (" + s + ")"
	}
	return ""
}

func textOfRate(n int64) string {
	if n == 0 {
		return ""
	}
	return block.FormatBitRate(n)
}

func textOfSize(n int64) string {
	if n == 0 {
		return ""
	}
	return block.FormatSize(n)
}

func textOfTime(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return block.FormatDuration(d)
}

func textOfCount(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// String is "20/s", or "" of no limit.
func (r Rate) String() string {
	if r.N == 0 {
		return ""
	}
	return block.Often(r).String()
}
