package names

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"blast.example/blast/runtime/network/gate/netns"
)

// memory is a Store that lasts as long as the test.
type memory struct{ saved map[string]netip.Addr }

func (m *memory) Load() (map[string]netip.Addr, error) { return m.saved, nil }
func (m *memory) Save(all map[string]netip.Addr) error { m.saved = maps.Clone(all); return nil }

func table(t *testing.T, s Store) *Table {
	t.Helper()
	tab, err := New("0123456789ab", s)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func address(t *testing.T, tab *Table, name string) netip.Addr {
	t.Helper()
	a, err := tab.Address(name, false)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressIsStableAndReversible(t *testing.T) {
	tab := table(t, &memory{})
	seen := map[netip.Addr]string{}
	for i := range 2000 { // enough for many collisions of a 16-bit hash
		name := fmt.Sprintf("h%d.example", i)
		a := address(t, tab, name)
		if other, ok := seen[a]; ok {
			t.Fatalf("%s and %s share %s", name, other, a)
		}
		seen[a] = name
		if !netns.Named.Contains(a) || address(t, tab, name) != a {
			t.Fatalf("%s has %s", name, a)
		}
		if n, ok := tab.Name(a); !ok || n != name {
			t.Fatalf("%s is %q, want %q", a, n, name)
		}
	}
	if n, ok := tab.Name(netip.MustParseAddr("198.18.0.0")); ok {
		t.Errorf("an address never given out names %q", n)
	}
}

func TestTableSurvivesRestart(t *testing.T) {
	s := &memory{}
	tab := table(t, s)
	want := map[string]netip.Addr{}
	for i := range 500 {
		name := fmt.Sprintf("h%d.example", i)
		want[name] = address(t, tab, name)
	}
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	again := table(t, s)
	for name, a := range want {
		if n, ok := again.Name(a); !ok || n != name {
			t.Errorf("%s is %q, want %q", a, n, name)
		}
	}
}

func TestTableForgetsNonsense(t *testing.T) {
	tab := table(t, &memory{saved: map[string]netip.Addr{
		"a.example": netip.MustParseAddr("198.19.0.1"), "B.example": netip.MustParseAddr("198.18.0.2"),
		"c.example": netip.MustParseAddr("127.0.0.1"), "d.example": {}, "e.example": netip.MustParseAddr("198.18.0.5"),
		"f.example": netip.MustParseAddr("::1"),
	}})
	if len(tab.byName) != 1 || tab.byName["e.example"] == nil {
		t.Errorf("kept %v", tab.byName)
	}
}

func TestWildcardFloodIsBounded(t *testing.T) {
	tab := table(t, &memory{})
	for i := range maxNames {
		address(t, tab, fmt.Sprintf("h%d.example", i))
	}
	if _, err := tab.Address("one-more.example", false); !errors.Is(err, ErrFull) {
		t.Errorf("one name too many: %v", err)
	}
	if _, err := tab.Address("spelled-out.example", true); err != nil {
		t.Errorf("a name that a rule spells out: %v", err)
	}
	tab.byName["h7.example"].used = time.Now().Add(-2 * minAge)
	if _, err := tab.Address("one-more.example", false); err != nil || tab.byName["h7.example"] != nil {
		t.Errorf("the oldest did not make room: %v", err)
	}
}

func TestRefusedIsBehindTheRoute(t *testing.T) {
	for i := range 100 {
		if a := Refused("0123456789ab", fmt.Sprint(i)); !netns.Refused.Contains(a) {
			t.Errorf("%d: %s", i, a)
		}
	}
}
