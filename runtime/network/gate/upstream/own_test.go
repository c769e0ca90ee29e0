package upstream

import (
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/network/gate/netns"
)

// TestOwnAddrsAreThoseOfNow: an address that the host gets is its own for the very next
// connection, and one that it loses is not.
func TestOwnAddrsAreThoseOfNow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	ns, err := netns.Unpinned()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	l := &addrList{}
	defer l.close()
	four, six := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")
	err = netns.Do(ns, func() error {
		has := func(when string, want bool, p netip.Prefix) {
			if own, err := l.list(); err != nil || slices.Contains(own, p) != want {
				t.Errorf("%s: %v, %v; want %v: %v", when, own, err, p, want)
			}
		}
		for range 3 {
			has("before", false, four)
			ip(t, "addr add 192.0.2.1/24 dev lo")
			has("added", true, four)
			ip(t, "addr add 2001:db8::1/64 dev lo")
			has("another added", true, six)
			ip(t, "addr del 192.0.2.1/24 dev lo")
			has("removed", false, four)
			has("the other", true, six)
			ip(t, "addr del 2001:db8::1/64 dev lo")
			has("both removed", false, six)
		}
		ip(t, "link add v0 type veth peer name v1")
		ip(t, "addr add 192.0.2.1/24 dev v0")
		has("of another interface", true, four)
		ip(t, "link del v0")
		has("gone with it", false, four)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnAddrsMissNoNotice: where more changes than the socket holds notices of, it is
// not the last that is known.
func TestOwnAddrsMissNoNotice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	ns, err := netns.Unpinned()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	l := &addrList{}
	defer l.close()
	err = netns.Do(ns, func() error {
		if _, err := l.list(); err != nil {
			return err
		}
		// A notice takes about 1 KiB of the 208 that the socket has by default.
		var batch strings.Builder
		for range 2000 {
			batch.WriteString("addr add 192.0.2.1/24 dev lo\naddr del 192.0.2.1/24 dev lo\n")
		}
		batch.WriteString("addr add 192.0.2.7/24 dev lo\n")
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(batch.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		own, err := l.list()
		if err != nil || !slices.Contains(own, netip.MustParsePrefix("192.0.2.7/24")) {
			t.Errorf("%v, %v", own, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnAddrsAreListedOnce: nothing is listed while nothing changes.
func TestOwnAddrsAreListedOnce(t *testing.T) {
	l := &addrList{}
	defer l.close()
	if _, err := l.list(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = l.list() }); n > 1 {
		t.Errorf("%v allocations each time: it lists them again", n)
	}
}

// ip doesn't end the test: it runs on a thread that has to come back.
func ip(t *testing.T, words string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", words, err, out)
	}
}
