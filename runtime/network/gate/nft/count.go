package nft

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"

	"blast.example/blast/runtime/network/traffic"
)

// Count returns what the kernel has counted at the rules of want that count. A rule
// that the kernel hasn't is left out.
func Count(ns *os.File, want Ruleset) ([]traffic.Counter, error) {
	conn, err := open(ns)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseLasting() }()
	var all []traffic.Counter
	for _, c := range want.chains {
		have, err := counters(conn, c)
		if err != nil {
			return nil, err
		}
		for _, r := range c.rules {
			if n := have.take(r); n != nil {
				all = append(all, traffic.Counter{
					Chain: c.Name, Note: r.note, Rule: r.egress, Refuses: r.refuses, Packets: n.Packets, Bytes: n.Bytes,
				})
			}
		}
	}
	return all, nil
}

// carryOver lets the rules of want go on from what those that are there, and are
// the same, have counted. What is counted while one ruleset takes the place of
// another, which takes milliseconds, is lost.
func carryOver(conn *nftables.Conn, want Ruleset) error {
	for _, c := range want.chains {
		have, err := counters(conn, c)
		if err != nil {
			return err
		}
		for _, r := range c.rules {
			if n := have.take(r); n != nil {
				*r.counter = *n
			}
		}
	}
	return nil
}

// counted are the counters of a chain's rules, in order, by what the rules are for
// and do.
type counted map[string][]*expr.Counter

// take removes and returns the counter of a rule; nil if there is none.
func (have counted) take(r rule) *expr.Counter {
	if r.counter == nil {
		return nil
	}
	key := r.note + "\n" + text(r.exprs)
	ns := have[key]
	if len(ns) == 0 {
		return nil
	}
	have[key] = ns[1:]
	return ns[0]
}

func counters(conn *nftables.Conn, c chain) (counted, error) {
	kc := c.Chain
	kc.Table = newTable()
	rs, err := conn.GetRules(kc.Table, &kc)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read nftables counters: %w", err)
	}
	have := counted{}
	for _, r := range rs {
		for _, e := range r.Exprs {
			if n, ok := e.(*expr.Counter); ok {
				note, _ := userdata.GetString(r.UserData, userdata.TypeComment)
				key := note + "\n" + text(r.Exprs)
				have[key] = append(have[key], n)
				break
			}
		}
	}
	return have, nil
}
