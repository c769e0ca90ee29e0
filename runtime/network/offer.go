package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// ingressItems tells of each block of published ports that changes. It widens access
// if anything may connect that could not before, under whatever name.
func ingressItems(from, to []Ingress) []plan.Item {
	var items []plan.Item
	for _, name := range blocks(to, from) {
		was, is := named(from, name), named(to, name)
		it := plan.Item{Name: "ingress." + name, Action: wording.Action(len(was) > 0, len(is) > 0), Before: offers(was), After: offers(is)}
		if len(was) > 0 && len(is) > 0 { // all ports of a block have the same limits
			items = append(items, limitItems(it.Name+".", was[0].Limits, is[0].Limits)...)
			if it.Before == it.After {
				continue
			}
		} else {
			it.Before, it.After = it.Before+aside(was), it.After+aside(is)
		}
		if !all(is, from) {
			it.Access = it.Access.Add(plan.Widen)
		}
		if !all(was, to) {
			it.Access = it.Access.Add(plan.Narrow)
		}
		items = append(items, it)
	}
	return items
}

// blocks are the names of ingress blocks, those of the first list before what only
// the second one has.
func blocks(lists ...[]Ingress) []string {
	var names []string
	for _, in := range slices.Concat(lists...) {
		if !slices.Contains(names, in.Name) {
			names = append(names, in.Name)
		}
	}
	return names
}

func named(all []Ingress, name string) []Ingress {
	return slices.DeleteFunc(slices.Clone(all), func(in Ingress) bool { return in.Name != name })
}

// all reports whether each visitor that these let in is let in by others, too.
func all(these, others []Ingress) bool {
	for _, in := range these {
		if in.Publish != "" && !slices.ContainsFunc(others, in.publishedBy) {
			return false
		}
		for _, env := range in.Environments {
			if !slices.ContainsFunc(others, func(o Ingress) bool { return o.Port == in.Port && o.Takes(env) && o.admits(in) }) {
				return false
			}
		}
	}
	return true
}

// aside are the limits of a block.
func aside(ins []Ingress) string {
	if len(ins) == 0 {
		return ""
	}
	return ins[0].aside(Quota{})
}

// admits reports whether in's limits leave room for who o lets in. What changes of the
// limits of a block that stays is told apart.
func (in Ingress) admits(o Ingress) bool { return in.Name == o.Name || in.cover(o.Limits) }

// publishedBy reports whether whoever reaches in reaches o: it is the same port at the
// same address, or at one that more can reach.
func (in Ingress) publishedBy(o Ingress) bool {
	if !o.admits(in) || o.Publish == "" || in.Port != o.Port || in.Protocol != o.Protocol {
		return false
	}
	a, errA := netip.ParseAddrPort(in.Publish)
	b, errB := netip.ParseAddrPort(o.Publish)
	if errA != nil || errB != nil {
		return in.Publish == o.Publish
	}
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || b.Addr().IsUnspecified() || a.Addr().IsLoopback() && !b.Addr().IsLoopback())
}

// offers is "127.0.0.1:8000 to port 8000, 127.0.0.1:8001 to port 8001".
func offers(ins []Ingress) string {
	texts := make([]string, len(ins))
	for i, in := range ins {
		texts[i] = in.text()
	}
	return wording.List(texts, maxTargets)
}

// text is "127.0.0.1:8000 to port 8000".
func (in Ingress) text() string {
	var from []string
	if in.Publish != "" {
		from = append(from, in.at())
	}
	if len(in.Environments) > 0 {
		from = append(from, "environment "+strings.Join(in.Environments, ", "))
	}
	return fmt.Sprintf("%s to port %d", strings.Join(from, " and "), in.Port)
}

// at is the published address, "127.0.0.1:53/udp".
func (in Ingress) at() string {
	if in.Protocol == "" {
		return in.Publish
	}
	return in.Publish + "/" + in.Protocol
}

// offer is what a summary says of a block, "publishes 127.0.0.1:8000, 127.0.0.1:8001".
func offer(ins []Ingress) string {
	var at []string
	for _, in := range ins {
		if in.Publish != "" {
			at = append(at, in.at())
		}
	}
	if len(at) > 0 {
		return "publishes " + wording.List(at, maxTargets)
	}
	ports := make([]string, len(ins))
	for i, in := range ins {
		ports[i] = strconv.Itoa(int(in.Port))
	}
	return fmt.Sprintf("port %s for %s", wording.List(ports, maxTargets), strings.Join(ins[0].Environments, ", "))
}
