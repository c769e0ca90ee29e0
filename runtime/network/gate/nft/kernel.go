package nft

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

func open(ns *os.File) (*nftables.Conn, error) {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())), nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return c, nil
}

func newTable() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
}

// Install makes the kernel hold want and nothing else, in one transaction: a
// packet meets the old rules or the new ones. Where the chains are as they
// should be only their rules are replaced, as a new chain drops everything
// until the transaction ends.
func Install(ns *os.File, want Ruleset) error {
	conn, err := open(ns)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	wrong, err := frame(conn, want)
	if err != nil {
		return err
	}
	if err := carryOver(conn, want); err != nil {
		return err
	}
	if len(wrong) > 0 {
		if err := removeAll(conn); err != nil {
			return err
		}
	}
	t := conn.AddTable(newTable())
	for _, c := range want.chains {
		kc := c.Chain
		kc.Table = t
		conn.AddChain(&kc)
		conn.FlushChain(&kc)
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: t, Chain: &kc, Exprs: r.exprs, UserData: comment(r.note)})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nftables ruleset: %w", err)
	}
	return nil
}

// Remove leaves no table in the namespace.
func Remove(ns *os.File) error {
	conn, err := open(ns)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	if err := removeAll(conn); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove nftables ruleset: %w", err)
	}
	return nil
}

// removeAll adds the removal of all tables to the transaction.
func removeAll(conn *nftables.Conn) error {
	ts, err := conn.ListTables()
	if err != nil {
		return fmt.Errorf("list nftables tables: %w", err)
	}
	for _, t := range ts {
		conn.DelTable(t)
	}
	return nil
}

// Present reports whether the namespace has any table.
func Present(ns *os.File) (bool, error) {
	conn, err := open(ns)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseLasting() }()
	ts, err := conn.ListTables()
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	return len(ts) > 0, nil
}

// Compare says how the kernel differs from want.
func Compare(ns *os.File, want Ruleset) ([]string, error) {
	conn, err := open(ns)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseLasting() }()
	wrong, err := frame(conn, want)
	if err != nil {
		return nil, err
	}
	for _, c := range want.chains {
		w, err := compareRules(conn, c)
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, w...)
	}
	return wrong, nil
}

// frame compares tables, chains and sets, but not rules.
func frame(conn *nftables.Conn, want Ruleset) ([]string, error) {
	var wrong []string
	ts, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	found := false
	for _, t := range ts {
		switch {
		case t.Name != TableName || t.Family != nftables.TableFamilyINet:
			wrong = append(wrong, fmt.Sprintf("unexpected table %q", t.Name))
		case t.Flags != 0: // "dormant": there, but without effect
			wrong, found = append(wrong, "table blast is switched off"), true
		default:
			found = true
		}
	}
	if !found {
		return append(wrong, "table inet blast is missing"), nil
	}
	sets, err := conn.GetSets(newTable())
	if err != nil {
		return nil, fmt.Errorf("list nftables sets: %w", err)
	}
	for _, s := range sets {
		wrong = append(wrong, fmt.Sprintf("unexpected set %q", s.Name))
	}
	w, err := compareChains(conn, want)
	return append(wrong, w...), err
}

func compareChains(conn *nftables.Conn, want Ruleset) ([]string, error) {
	cs, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	have := map[string]*nftables.Chain{}
	for _, c := range cs {
		if c.Table.Name == TableName {
			have[c.Name] = c
		}
	}
	var wrong []string
	for _, c := range want.chains {
		switch h := have[c.Name]; {
		case h == nil:
			wrong = append(wrong, "chain "+c.Name+" is missing")
		case !sameHook(h, &c.Chain):
			wrong = append(wrong, "chain "+c.Name+" hangs elsewhere")
		case h.Policy == nil || *h.Policy != *c.Policy:
			wrong = append(wrong, "chain "+c.Name+" has another policy")
		}
		delete(have, c.Name)
	}
	for name := range have {
		wrong = append(wrong, fmt.Sprintf("unexpected chain %q", name))
	}
	return wrong, nil
}

func sameHook(a, b *nftables.Chain) bool {
	return a.Type == b.Type && a.Hooknum != nil && *a.Hooknum == *b.Hooknum && a.Priority != nil && *a.Priority == *b.Priority
}

// compareRules compares in order, as the order decides. A rule that is missing
// is told from one that is in the way.
func compareRules(conn *nftables.Conn, c chain) ([]string, error) {
	kc := c.Chain
	kc.Table = newTable()
	have, err := conn.GetRules(kc.Table, &kc)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // the chain is missing, which frame says
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables rules: %w", err)
	}
	var want, got []string
	for _, r := range c.rules {
		want = append(want, text(r.exprs))
	}
	for _, r := range have {
		got = append(got, text(r.Exprs))
	}
	var wrong []string
	missing, extra := subtract(want, got), subtract(got, want)
	for _, i := range missing {
		wrong = append(wrong, fmt.Sprintf("rule %q is missing in chain %s", c.rules[i].note, c.Name))
	}
	for _, i := range extra {
		wrong = append(wrong, fmt.Sprintf("unexpected rule %d%s in chain %s", i+1, noteOf(have[i]), c.Name))
	}
	if len(missing)+len(extra) == 0 && !equal(want, got) {
		wrong = append(wrong, "the rules of chain "+c.Name+" are in another order")
	}
	return wrong, nil
}

// subtract returns the places in a of what b has not, counting repetitions.
func subtract(a, b []string) []int {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	var is []int
	for i, s := range a {
		if left[s]--; left[s] < 0 {
			is = append(is, i)
		}
	}
	return is
}

func equal(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func noteOf(r *nftables.Rule) string {
	if note, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok {
		return fmt.Sprintf(" (%q)", note)
	}
	return ""
}

// text is a rule's expressions as the kernel takes them, but for what a counter has
// counted.
func text(es []expr.Any) string {
	var b bytes.Buffer
	for _, e := range es {
		if _, ok := e.(*expr.Counter); ok {
			e = &expr.Counter{}
		}
		m, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
		if err != nil {
			fmt.Fprintf(&b, "%T: %v", e, err) // equals nothing
			continue
		}
		b.Write(m)
	}
	return b.String()
}
