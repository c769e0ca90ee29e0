package rules

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/network"
)

var noon = time.Date(2027, 1, 31, 12, 0, 0, 0, time.Local)

func compiled(t *testing.T, def string, es ...network.Egress) *Rules {
	t.Helper()
	for i := range es {
		if es[i].Protocol == "" {
			es[i].Protocol = "tcp"
		}
		if es[i].During == nil {
			es[i].During = []string{"apply", "run"}
		}
	}
	r, err := Compile(network.Policy{Default: def, Egress: es})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNames(t *testing.T) {
	r := compiled(t, "deny",
		network.Egress{Name: "exact", Domains: []string{"example.com"}, Ports: []uint16{443}},
		network.Egress{Name: "wild", Domains: []string{"*.example.org"}, Ports: []uint16{80, 443}},
		network.Egress{Name: "install", Domains: []string{"pypi.org"}, Ports: []uint16{443}, During: []string{"apply"}},
		network.Egress{Name: "old", Domains: []string{"old.example"}, Ports: []uint16{443}, Expires: "2027-01-30"},
		network.Egress{Name: "lastday", Domains: []string{"last.example"}, Ports: []uint16{443}, Expires: "2027-01-31"},
	)
	for _, c := range []struct {
		name   string
		port   uint16
		ok     bool
		rule   string
		reason string
	}{
		{"example.com", 443, true, "exact", ""},
		{"example.com", 80, false, "exact", "not port 80"},
		{"www.example.com", 443, false, "", ""},
		{"notexample.com", 443, false, "", ""},
		{"a.b.example.org", 80, true, "wild", ""},
		{"example.org", 443, false, "", ""},
		{"evilexample.org", 443, false, "", ""},
		{"pypi.org", 443, false, "install", "only while packages are installed"},
		{"old.example", 443, false, "old", "expired after 2027-01-30"},
		{"last.example", 443, true, "lastday", ""},
	} {
		v := r.NamePort(c.name, c.port, noon)
		if v.OK != c.ok || v.Rule != c.rule || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s:%d: %+v, want %+v", c.name, c.port, v, c)
		}
	}
	if !r.Name("example.com", noon).OK || r.Name("example.net", noon).OK || r.Name("old.example", noon).OK {
		t.Error("Name differs from NamePort")
	}
}

func TestAddresses(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("93.184.215.9/32")}
	r := compiled(t, "deny",
		network.Egress{Name: "all", CIDRs: []string{"0.0.0.0/0", "::/0"}, Ports: []uint16{443}},
		network.Egress{Name: "db", CIDRs: []string{"10.20.0.0/16"}, Ports: []uint16{5432}},
		network.Egress{Name: "ntp", CIDRs: []string{"93.184.215.0/24"}, Ports: []uint16{123}, Protocol: "udp"},
		network.Egress{Name: "self", CIDRs: []string{"93.184.215.9/32"}, Ports: []uint16{8443}},
	)
	for _, c := range []struct {
		proto, addr string
		ok          bool
	}{
		{"tcp", "93.184.215.14:443", true},
		{"tcp", "93.184.215.14:444", false},
		{"udp", "93.184.215.14:443", false},
		{"udp", "93.184.215.14:123", true},
		{"tcp", "93.184.215.14:123", false},
		{"tcp", "10.20.1.1:5432", true},
		{"tcp", "10.20.1.1:443", false}, // 0.0.0.0/0 does not mean private networks
		{"tcp", "10.21.1.1:5432", false},
		{"tcp", "169.254.169.254:443", false},
		{"tcp", "0.0.0.0:443", false},
		{"tcp", "198.18.0.1:443", false},
		{"tcp", "93.184.215.9:443", false}, // the host itself
		{"tcp", "93.184.215.9:8443", true}, // meant
		{"tcp", "[2606:2800::1]:443", true},
		{"tcp", "[::ffff:10.20.1.1]:443", false},
		{"tcp", "[64:ff9b::a14:101]:443", false},
		{"tcp", "[2002:a14:101::1]:443", false},
		{"tcp", "[fd00:ec2::254]:443", false},
		{"tcp", "[::1]:443", false},
	} {
		if v := r.Addr(c.proto, netip.MustParseAddrPort(c.addr), own, noon); v.OK != c.ok {
			t.Errorf("%s %s: %+v, want %v", c.proto, c.addr, v, c.ok)
		}
	}
}

func TestLeadsTo(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("93.184.215.9/32")}
	for _, def := range []string{"deny", "audit"} {
		r := compiled(t, def,
			network.Egress{Name: "web", Domains: []string{"example.com"}, Ports: []uint16{443}},
			network.Egress{Name: "wide", CIDRs: []string{"0.0.0.0/0"}, Ports: []uint16{443}},
			network.Egress{Name: "local", CIDRs: []string{"127.77.0.0/16"}, Ports: []uint16{443}},
		)
		for addr, ok := range map[string]bool{
			"93.184.215.14:443": true, "[2606:2800::1]:443": true,
			"127.77.0.1:443": true, "127.77.0.1:80": false, "127.0.0.1:443": false,
			"93.184.215.9:443": false, "169.254.169.254:443": false, "192.168.1.1:443": false,
			"100.64.0.1:443": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "255.255.255.255:443": false,
		} {
			if v := r.LeadsTo(netip.MustParseAddrPort(addr), own, noon); v.OK != ok {
				t.Errorf("%s: %s: %+v, want %v", def, addr, v, ok)
			}
		}
	}
}

// TestNeighbours: who is in a network of the host is no stranger, whatever the
// address.
func TestNeighbours(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("93.184.215.9/28"), netip.MustParsePrefix("2a00:1450:1::2/64")}
	r := compiled(t, "deny",
		network.Egress{Name: "wide", CIDRs: []string{"0.0.0.0/0", "2a00::/16"}, Ports: []uint16{443}},
		network.Egress{Name: "printer", CIDRs: []string{"2a00:1450:1::9/128", "93.184.215.0/28"}, Ports: []uint16{631}},
	)
	for addr, ok := range map[string]bool{
		"93.184.215.14:443": false, "[2a00:1450:1::7]:443": false, "93.184.215.9:443": false,
		"93.184.215.16:443": true, "[2a00:1450:2::7]:443": true,
		"[2a00:1450:1::9]:631": true, "93.184.215.14:631": true, "93.184.215.9:631": false, // not the host itself
	} {
		a := netip.MustParseAddrPort(addr)
		if v := r.Addr("tcp", a, own, noon); v.OK != ok {
			t.Errorf("%s: %+v, want %v", addr, v, ok)
		}
		if v := r.LeadsTo(a, own, noon); v.OK != ok && a.Port() != 443 {
			t.Errorf("a name that leads to %s: %+v, want %v", addr, v, ok)
		}
	}
}

func TestAuditAllowsAndSaysSo(t *testing.T) {
	r := compiled(t, "audit", network.Egress{Name: "web", Domains: []string{"example.com"}, Ports: []uint16{443}})
	if v := r.NamePort("other.example", 22, noon); !v.OK || !v.Audit {
		t.Errorf("other name: %+v", v)
	}
	if v := r.NamePort("example.com", 443, noon); !v.OK || v.Audit {
		t.Errorf("named: %+v", v)
	}
	if v := r.Addr("udp", netip.MustParseAddrPort("8.8.8.8:443"), nil, noon); !v.OK || !v.Audit {
		t.Errorf("address: %+v", v)
	}
	if v := r.Addr("tcp", netip.MustParseAddrPort("169.254.169.254:80"), nil, noon); v.OK {
		t.Errorf("metadata: %+v", v)
	}
}

func TestCompileFailsClosed(t *testing.T) {
	ok := network.Egress{Name: "x", Domains: []string{"example.com"}, Ports: []uint16{443}, Protocol: "tcp", During: []string{"run"}}
	for what, f := range map[string]func(*network.Policy, *network.Egress){
		"default":  func(p *network.Policy, _ *network.Egress) { p.Default = "" },
		"protocol": func(_ *network.Policy, e *network.Egress) { e.Protocol = "any" },
		"both":     func(_ *network.Policy, e *network.Egress) { e.CIDRs = []string{"192.0.2.0/24"} },
		"neither":  func(_ *network.Policy, e *network.Egress) { e.Domains = nil },
		"cidr":     func(_ *network.Policy, e *network.Egress) { e.Domains, e.CIDRs = nil, []string{"10.0.0.0"} },
		"mapped":   func(_ *network.Policy, e *network.Egress) { e.Domains, e.CIDRs = nil, []string{"::ffff:10.0.0.0/104"} },
		"domain":   func(_ *network.Policy, e *network.Egress) { e.Domains = []string{"Example.com"} },
		"star":     func(_ *network.Policy, e *network.Egress) { e.Domains = []string{"*"} },
		"inner":    func(_ *network.Policy, e *network.Egress) { e.Domains = []string{"a.*.example.com"} },
		"udp name": func(_ *network.Policy, e *network.Egress) { e.Protocol = "udp" },
		"date":     func(_ *network.Policy, e *network.Egress) { e.Expires = "soon" },
	} {
		p, e := network.Policy{Default: "deny"}, ok
		f(&p, &e)
		p.Egress = []network.Egress{e}
		if _, err := Compile(p); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := Compile(network.Policy{Default: "deny", Egress: []network.Egress{ok}}); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestOpaque(t *testing.T) {
	r := compiled(t, "deny",
		network.Egress{Name: "checked", Domains: []string{"*.example.com"}, Ports: []uint16{443, 5432}},
		network.Egress{Name: "raw", Domains: []string{"db.example.com"}, Ports: []uint16{5432}, Opaque: true},
		network.Egress{Name: "old", Domains: []string{"old.example.com"}, Ports: []uint16{443}, Opaque: true, Expires: "2027-01-30"},
	)
	for _, c := range []struct {
		name string
		port uint16
		want Verdict
	}{
		{"db.example.com", 5432, Verdict{OK: true, Opaque: true, Rule: "raw"}},
		{"db.example.com", 443, Verdict{OK: true, Rule: "checked"}},
		{"web.example.com", 5432, Verdict{OK: true, Rule: "checked"}},
		{"old.example.com", 443, Verdict{OK: true, Rule: "checked"}},
	} {
		if got := r.NamePort(c.name, c.port, noon); got != c.want {
			t.Errorf("%s:%d: %+v, want %+v", c.name, c.port, got, c.want)
		}
	}
}

func TestPings(t *testing.T) {
	r := compiled(t, "deny",
		network.Egress{Name: "ping", CIDRs: []string{"8.8.0.0/16", "10.0.0.0/8"}, Protocol: "icmp"},
		network.Egress{Name: "web", CIDRs: []string{"9.9.9.9/32"}, Ports: []uint16{443}},
	)
	for addr, want := range map[string]bool{"8.8.8.8": true, "10.1.2.3": true, "9.9.9.9": false, "127.0.0.1": false} {
		if got := r.Addr("icmp", netip.AddrPortFrom(netip.MustParseAddr(addr), 0), nil, noon).OK; got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if !r.Pings() || compiled(t, "audit").Pings() {
		t.Error("who may ping is not known")
	}
	if v := compiled(t, "deny", network.Egress{Name: "all", CIDRs: []string{"0.0.0.0/0"}, Protocol: "icmp"}).Addr("icmp", netip.MustParseAddrPort("10.0.0.1:0"), nil, noon); v.OK {
		t.Error("a wide block means private addresses")
	}
}

// Ways to other environments are opened by their own rules, and by nothing else.
func TestEnvironments(t *testing.T) {
	api := network.Egress{Name: "api", Environments: []string{"backend"}, Ports: []uint16{8000}}
	wide := network.Egress{Name: "wide", Domains: []string{"*.internal", "*.blast.internal"}, Ports: []uint16{8000}}
	for _, c := range []struct {
		def, name string
		es        []network.Egress
		want      bool
	}{
		{"deny", "backend.blast.internal", []network.Egress{api}, true},
		{"deny", "other.blast.internal", []network.Egress{api, wide}, false},
		{"deny", "backend.blast.internal", []network.Egress{wide}, false},
		{"deny", "a.backend.blast.internal", []network.Egress{api, wide}, false},
		{"deny", "blast.internal", []network.Egress{api, wide}, false},
		{"deny", "x.internal", []network.Egress{wide}, true},
		{"audit", "backend.blast.internal", nil, false},
		{"audit", "x.internal", nil, true},
	} {
		r := compiled(t, c.def, c.es...)
		if v := r.NamePort(c.name, 8000, noon); v.OK != c.want || r.Name(c.name, noon).OK != c.want {
			t.Errorf("%s, %s: %+v", c.def, c.name, v)
		}
		if v := r.NamePort(c.name, 8001, noon); v.OK && !v.Audit {
			t.Errorf("%s: another port: %+v", c.name, v)
		}
	}
	if r := compiled(t, "deny", api); !r.Exact("backend.blast.internal") || r.Exact("other.blast.internal") {
		t.Error("names of environments may be evicted")
	}
}

func TestRulesThatDontFit(t *testing.T) {
	for name, e := range map[string]network.Egress{
		"no target":       {Ports: []uint16{1}, Protocol: "tcp"},
		"two targets":     {Domains: []string{"a.org"}, Environments: []string{"b"}, Ports: []uint16{1}, Protocol: "tcp"},
		"udp by name":     {Environments: []string{"b"}, Ports: []uint16{1}, Protocol: "udp"},
		"ports of icmp":   {CIDRs: []string{"10.0.0.0/8"}, Ports: []uint16{1}, Protocol: "icmp"},
		"no ports":        {CIDRs: []string{"10.0.0.0/8"}, Protocol: "tcp"},
		"no protocol":     {CIDRs: []string{"10.0.0.0/8"}, Ports: []uint16{1}},
		"domains by icmp": {Domains: []string{"a.org"}, Protocol: "icmp"},
	} {
		if _, err := Compile(network.Policy{Default: "deny", Egress: []network.Egress{e}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
