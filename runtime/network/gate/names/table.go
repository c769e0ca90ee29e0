// Package names gives every host name that a sandbox may reach a synthetic
// address of its own. So the destination of a connection says which name was
// meant, and an address that two names share in the world is two in the sandbox.
package names

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/hostname"
)

// Bounds: under a wildcard rule a sandbox can invent names as it likes.
const (
	maxNames = 4096             // of those that no rule spells out
	maxTotal = 16384            // of all
	minAge   = 10 * time.Minute // a name used within this time keeps its address
	saveGap  = 200 * time.Millisecond
)

// ErrFull is more names at once than the table holds.
var ErrFull = errors.New("too many names at once")

// A Store keeps the table over a restart of the daemon.
type Store interface {
	// Load returns what was saved last, or nothing.
	Load() (map[string]netip.Addr, error)
	// Save replaces what was saved.
	Save(map[string]netip.Addr) error
}

// A Table maps names to addresses and back. It may be used by several goroutines.
type Table struct {
	id    string // of the environment: another has other addresses
	store Store

	mu     sync.Mutex
	byName map[string]*entry
	byAddr map[netip.Addr]*entry
	loose  int // entries that no rule spells out
	saved  time.Time
	timer  *time.Timer // a save is due
	closed bool
	err    error // of the last save
}

type entry struct {
	name  string
	addr  netip.Addr
	exact bool
	used  time.Time
}

// New returns the table of the environment, with the names that store holds.
// What it can't make sense of it forgets: those names are asked for again.
func New(id string, store Store) (*Table, error) {
	t := &Table{id: id, store: store, byName: map[string]*entry{}, byAddr: map[netip.Addr]*entry{}}
	old, err := store.Load()
	if err != nil {
		return nil, err
	}
	for name, addr := range old {
		n, ok := hostname.Normalize(name)
		if !ok || n != name || !usable(addr) || t.byAddr[addr] != nil || t.loose >= maxNames {
			continue
		}
		t.add(&entry{name: name, addr: addr, used: time.Now()})
	}
	return t, nil
}

// Address returns the address of a normalized name. It is the same each time,
// and after a restart, as it comes from a hash unless two names collide. exact
// says that a rule spells the name out; such a name always finds room.
func (t *Table) Address(name string, exact bool) (netip.Addr, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byName[name]; e != nil {
		e.used = time.Now()
		if exact && !e.exact {
			e.exact = true
			t.loose--
		}
		return e.addr, nil
	}
	if !exact && t.loose >= maxNames && !t.evict() || len(t.byName) >= maxTotal {
		return netip.Addr{}, ErrFull
	}
	e := &entry{name: name, addr: t.free(name), exact: exact, used: time.Now()}
	t.add(e)
	t.changed()
	return e.addr, t.err
}

// Name returns the name that has the address.
func (t *Table) Name(a netip.Addr) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[a]
	if e == nil {
		return "", false
	}
	e.used = time.Now()
	return e.name, true
}

// Has reports whether the table has the normalized name. That is no use of it.
func (t *Table) Has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[name] != nil
}

// Close saves what is not saved yet.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil && t.timer.Stop() {
		t.save()
	}
	return t.err
}

// Refused is the address that is given out for a name that no rule allows. A
// route forbids it, so nobody has to remember which name it was.
func Refused(id, name string) netip.Addr { return at(netns.Refused, hash(id, name)) }

// Refused is Refused in the environment of the table.
func (t *Table) Refused(name string) netip.Addr { return Refused(t.id, name) }

func (t *Table) add(e *entry) {
	t.byName[e.name], t.byAddr[e.addr] = e, e
	if !e.exact {
		t.loose++
	}
}

// evict forgets the name that was not used for the longest time, if that is
// long enough. A client that still had its address is refused, or at worst
// reaches another allowed name, whose TLS or HTTP then doesn't match.
func (t *Table) evict() bool {
	var oldest *entry
	for _, e := range t.byName {
		if !e.exact && (oldest == nil || e.used.Before(oldest.used)) {
			oldest = e
		}
	}
	if oldest == nil || time.Since(oldest.used) < minAge {
		return false
	}
	delete(t.byName, oldest.name)
	delete(t.byAddr, oldest.addr)
	t.loose--
	return true
}

// free probes from the hash of the name on. There are four times as many
// addresses as names.
func (t *Table) free(name string) netip.Addr {
	for h := hash(t.id, name); ; h++ {
		if a := at(netns.Named, h); usable(a) && t.byAddr[a] == nil {
			return a
		}
	}
}

// changed saves now, or soon if it just did. t.mu is held.
func (t *Table) changed() {
	if t.timer != nil {
		return
	}
	if time.Since(t.saved) >= saveGap {
		t.save()
		return
	}
	t.timer = time.AfterFunc(saveGap, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.timer != nil && !t.closed {
			t.save()
		}
	})
}

func (t *Table) save() {
	all := make(map[string]netip.Addr, len(t.byName))
	for n, e := range t.byName {
		all[n] = e.addr
	}
	t.err = t.store.Save(all)
	t.saved, t.timer = time.Now(), nil
}

func hash(id, name string) uint16 {
	sum := sha256.Sum256([]byte(id + "\x00" + name))
	return binary.BigEndian.Uint16(sum[:])
}

// at returns the nth address of a /16.
func at(p netip.Prefix, n uint16) netip.Addr {
	a := p.Addr().As4()
	binary.BigEndian.PutUint16(a[2:], n)
	return netip.AddrFrom4(a)
}

// usable leaves out addresses that programs take for a network or a broadcast.
func usable(a netip.Addr) bool {
	if !netns.Named.Contains(a) {
		return false
	}
	last := a.As4()[3]
	return last != 0 && last != 255
}
