package gate

import (
	"errors"
	"net/netip"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/names"
	"blast.example/blast/runtime/network/gate/nameserver"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
	"blast.example/blast/state"
)

// namesNote keeps the names over a restart of the daemon.
const namesNote = "names"

// store is the note as a names.Store.
type store struct{ env state.Env }

func (s store) Load() (map[string]netip.Addr, error) {
	var all map[string]netip.Addr
	_, err := s.env.ReadNote(namesNote, &all)
	return all, err
}

func (s store) Save(all map[string]netip.Addr) error { return s.env.WriteNote(namesNote, all) }

// book tells the name server what the rules say.
type book struct{ g *gate }

// Address implements nameserver.Book.
func (b book) Address(name, record string, from nameserver.Client) (nameserver.Answer, error) {
	rs := b.g.rules.Load()
	v := rs.Name(name, time.Now())
	if why := b.overdrawn(rs, name); v.OK && why != "" {
		v = rules.Verdict{Rule: v.Rule, Reason: why}
	}
	d := denial.Denial{Op: denial.Resolve, Host: name, Rule: v.Rule, Reason: v.Reason, Allowed: v.OK}
	if !v.OK || v.Audit {
		b.g.tell(d, asker(from))
	}
	if !v.OK {
		return nameserver.Answer{Addr: names.Refused(b.g.env.ID, name), Refused: true}, nil
	}
	a, err := b.g.names.Address(name, rs.Exact(name))
	if errors.Is(err, names.ErrFull) {
		d.Allowed, d.Final, d.Reason = false, true, err.Error()
		b.g.tell(d, asker(from))
	}
	if err == nil {
		b.g.book.Question(traffic.Question{Host: name, Record: record, Rule: v.Rule, Audit: v.Audit}, asker(from))
	}
	return nameserver.Answer{Addr: a}, err
}

// overdrawn says why a name that only a wildcard allows is one too many; "" is that it isn't.
func (b book) overdrawn(rs *rules.Rules, name string) string {
	wildcard, ok := rs.Wildcard(name)
	if !ok || rs.Exact(name) || b.g.names.Has(name) {
		return ""
	}
	return b.g.budget.Spend(wildcard, name)
}

// Odd implements nameserver.Book.
func (b book) Odd(name string, from nameserver.Client) {
	b.g.tell(denial.Denial{Op: denial.Resolve, Host: name, Reason: "this is not a host name"}, asker(from))
}

// Name implements nameserver.Book.
func (b book) Name(a netip.Addr) (string, bool) { return b.g.names.Name(a) }

func asker(c nameserver.Client) who.Socket { return who.Socket{Proto: c.Proto, Local: c.Addr} }
