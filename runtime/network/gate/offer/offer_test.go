package offer

import (
	"net/netip"
	"strings"
	"testing"

	"blast.example/blast/runtime/network"
	"blast.example/blast/state"
)

// env is an environment of a project, of which nothing is on record.
func env(t *testing.T, project, name string) state.Env {
	t.Helper()
	e := state.NewEnv(project, name, 0, 0)
	e.Run = t.TempDir()
	return e
}

func TestFind(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")}
	a, b := env(t, "/p", "a"), env(t, "/p", "b")
	for publish, cases := range map[string]map[string]bool{
		"127.0.0.1:80": {"127.0.0.1:80": true, "127.0.0.2:80": false, "192.0.2.2:80": false, "127.0.0.1:81": false},
		"192.0.2.2:80": {"192.0.2.2:80": true, "127.0.0.1:80": false, "192.0.2.3:80": false},
		"0.0.0.0:80":   {"192.0.2.2:80": true, "127.0.0.1:80": true, "127.1.2.3:80": true, "[::1]:80": true, "[2001:db8::2]:80": true, "192.0.2.3:80": false, "93.184.215.14:80": false},
		"[::]:80":      {"192.0.2.2:80": true, "[::1]:80": true, "[2001:db8::3]:80": false},
	} {
		book := New()
		in := network.Ingress{Name: "web", Port: 8000, Publish: publish}
		if err := book.Note(b, in); err != nil {
			t.Fatal(err)
		}
		for to, want := range cases {
			if _, found := book.Find(a, "tcp", netip.MustParseAddrPort(to), own); found != want {
				t.Errorf("%s is offered at %s: %v", publish, to, found)
			}
			if _, found := book.Find(b, "tcp", netip.MustParseAddrPort(to), own); found {
				t.Errorf("%s: its own is found at %s", publish, to)
			}
			if _, found := book.Find(a, "udp", netip.MustParseAddrPort(to), own); found {
				t.Errorf("%s: TCP is found for UDP at %s", publish, to)
			}
		}
		// One that wants the same socket, and doesn't get it, takes nothing away.
		if err := book.Note(a, in); err != nil {
			t.Fatal(err)
		}
		book.Drop(a, in.Socket())
		book.Drop(b, "udp "+publish)
		if len(book.all) != 1 {
			t.Errorf("%s: %v is left", publish, book.all)
		}
		book.Drop(b, in.Socket())
		if len(book.all) != 0 {
			t.Errorf("%s: %v is left", publish, book.all)
		}
	}
}

func TestWhySaysWhatToWrite(t *testing.T) {
	a, b, other := env(t, "/p", "a"), env(t, "/p", "b"), env(t, "/q", "secret")
	web := network.Ingress{Name: "web", Port: 8000}
	for want, o := range map[string]Offer{
		`write environments = ["b"] and port 8000 in an egress rule here, environments = ["a"] in that ingress rule, and connect to b.blast.internal:8000`: {env: b, in: web},
		"environments reach each other over TCP only": {env: b, in: network.Ingress{Name: "dns", Port: 8000, Protocol: "udp"}},
		"an environment of another project publishes": {env: other, in: web},
	} {
		if got := o.Why(a); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%q", got)
		}
	}
}
