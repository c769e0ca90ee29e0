package network

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

func policy(t *testing.T, src string) Policy {
	t.Helper()
	return configtest.Decode[Policy](t, configtest.Objects(t, Words{}, src), PolicyAddr)
}

func TestDefaultIsClosed(t *testing.T) {
	for _, src := range []string{"", "network {\n}\n", "network {\n  default = \"deny\"\n}\n"} {
		if d := cmp.Diff(Policy{Default: "deny"}, policy(t, src)); d != "" {
			t.Errorf("%q: %s", src, d)
		}
	}
}

func TestPolicy(t *testing.T) {
	src := `network {
  default = "audit"
  egress "names" {
    domains = ["Example.COM.", "bücher.example", "*.Sub.example.com", "example.com", "localhost"]
    ports   = [443, 80, 443]
    during  = ["run"]
    reason  = "why"
    expires = "2099-01-31"
  }
  egress "blocks" {
    cidrs    = ["10.20.0.0/16", "192.0.2.1", "2001:db8::/32"]
    ports    = [53]
    protocol = "udp"
  }
  ingress "web" {
    port = 8000
  }
  ingress "v6" {
    port    = 8080
    publish = "[::1]:8000"
  }
  dns {
    servers = ["system", "192.0.2.53", "[2001:db8::1]:5353"]
  }
}
`
	want := Policy{
		Default: "audit",
		Egress: []Egress{
			{Name: "names", Domains: []string{"example.com", "xn--bcher-kva.example", "*.sub.example.com", "localhost"}, Ports: []uint16{80, 443}, Protocol: "tcp", During: []string{"run"}, Reason: "why", Expires: "2099-01-31"},
			{Name: "blocks", CIDRs: []string{"10.20.0.0/16", "192.0.2.1/32", "2001:db8::/32"}, Ports: []uint16{53}, Protocol: "udp", During: []string{"apply", "run"}},
		},
		Ingress: []Ingress{{Name: "web", Port: 8000, Publish: "127.0.0.1:8000"}, {Name: "v6", Port: 8080, Publish: "[::1]:8000"}},
		DNS:     []string{"system", "192.0.2.53:53", "[2001:db8::1]:5353"},
	}
	if d := cmp.Diff(want, policy(t, src)); d != "" {
		t.Error(d)
	}
}

// Names that could be read in two ways name nothing.
func TestStrangeNames(t *testing.T) {
	for _, name := range []string{
		"", ".", "*", "*.", "*.*.com", "ex ample.com", "a_b.example", "-a.example", "a-.example", "example.com\\u0000", "user@example.com", "a..example",
		"192.0.2.1", "0x7f.1", "127.1", "1.2.3", "[::1]", "::1", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "example", "xn--a.example", "\\u202eexample.com", "%2e.example",
	} {
		_, diags := configtest.Load(t, configtest.Project(t, "network {\n  egress \"a\" {\n    domains = [\""+name+"\"]\n    ports   = [443]\n  }\n}\n"), Words{})
		if !diags.HasErrors() {
			t.Errorf("%q is accepted", name)
		}
	}
	// The KELVIN SIGN is a K to browsers and to us, before any rule is compared.
	if got := policy(t, "network {\n  egress \"a\" {\n    domains = [\"\\u212a.example\"]\n    ports   = [443]\n  }\n}\n").Egress[0].Domains[0]; got != "k.example" {
		t.Errorf("KELVIN SIGN: %q", got)
	}
}

// The last day counts in full.
func TestExpiresByTheDay(t *testing.T) {
	for now, want := range map[string]string{
		"2027-01-16T23:59:00Z": "", "2027-01-18T00:00:00Z": "Rule expires soon", "2027-01-31T23:59:59Z": "Rule expires soon", "2027-02-01T00:00:00Z": "Rule has expired",
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		w := Words{Now: func() time.Time { return at }}
		_, diags := configtest.Load(t, configtest.Project(t, "network {\n  egress \"a\" {\n    domains = [\"x.org\"]\n    ports   = [443]\n    expires = \"2027-01-31\"\n  }\n}\n"), w)
		got := ""
		if len(diags) == 1 {
			got = diags[0].Summary
		}
		if got != want || diags.HasErrors() {
			t.Errorf("%s: %q, want %q (%v)", now, got, want, diags)
		}
	}
}

func TestDescribe(t *testing.T) {
	src := func(inner string) *string { s := "network {\n" + inner + "\n}\n"; return &s }
	rule := func(name, args string) string { return "egress \"" + name + "\" {\n" + args + "\n}\n" }
	a := rule("a", "domains = [\"a.example.com\"]\nports = [443]")
	for name, c := range map[string]struct {
		before, after *string
		want          string
	}{
		"created":             {nil, src(a), `+ egress.a widen "" "a.example.com:443"`},
		"created closed":      {nil, src(""), ``},
		"destroyed":           {src(a), nil, `- egress.a narrow "a.example.com:443" ""`},
		"added":               {src(""), src(a), `+ egress.a widen "" "a.example.com:443"`},
		"removed":             {src(a), src(""), `- egress.a narrow "a.example.com:443" ""`},
		"renamed":             {src(a), src(strings.Replace(a, `"a"`, `"b"`, 1)), "+ egress.b  \"\" \"a.example.com:443\"\n- egress.a  \"a.example.com:443\" \"\""},
		"reason only":         {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nreason = \"x\"")), `+ egress.a.reason  "" "x"`},
		"to a wildcard":       {src(a), src(rule("a", "domains = [\"*.example.com\"]\nports = [443]")), `~ egress.a widen "a.example.com:443" "*.example.com:443"`},
		"apex is not below":   {src(rule("a", "domains = [\"*.example.com\"]\nports = [443]")), src(rule("a", "domains = [\"example.com\"]\nports = [443]")), `~ egress.a both "*.example.com:443" "example.com:443"`},
		"smaller block":       {src(rule("a", "cidrs = [\"10.0.0.0/8\"]\nports = [443]")), src(rule("a", "cidrs = [\"10.1.0.0/16\"]\nports = [443]")), `~ egress.a narrow "10.0.0.0/8:443" "10.1.0.0/16:443"`},
		"other port":          {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [80]")), `~ egress.a both "a.example.com:443" "a.example.com:80"`},
		"one port more":       {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [80, 443]")), `~ egress.a widen "a.example.com:443" "a.example.com:80,443"`},
		"installing only":     {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nduring = [\"apply\"]")), `~ egress.a narrow "a.example.com:443" "a.example.com:443 while installing"`},
		"expires":             {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nexpires = \"2099-01-01\"")), `~ egress.a narrow "a.example.com:443" "a.example.com:443 until 2099-01-01"`},
		"covered":             {src(rule("w", "domains = [\"*.example.com\"]\nports = [443]")), src(rule("w", "domains = [\"*.example.com\"]\nports = [443]") + a), `+ egress.a  "" "a.example.com:443"`},
		"audit":               {src(""), src("default = \"audit\""), `~ default widen "deny" "audit"`},
		"back to deny":        {src("default = \"audit\"\n" + a), src(a), `~ default narrow "audit" "deny"`},
		"published":           {src(""), src("ingress \"w\" {\nport = 8080\n}"), `+ ingress.w widen "" "127.0.0.1:8080 to port 8080"`},
		"to the network":      {src("ingress \"w\" {\nport = 8080\n}"), src("ingress \"w\" {\nport = 8080\npublish = \"0.0.0.0:8080\"\n}"), `~ ingress.w widen "127.0.0.1:8080 to port 8080" "0.0.0.0:8080 to port 8080"`},
		"back to the host":    {src("ingress \"w\" {\nport = 8080\npublish = \"0.0.0.0:8080\"\n}"), src("ingress \"w\" {\nport = 8080\n}"), `~ ingress.w narrow "0.0.0.0:8080 to port 8080" "127.0.0.1:8080 to port 8080"`},
		"opened to any byte":  {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nprotocol = \"tcp\"")), `~ egress.a widen "a.example.com:443" "a.example.com:443/tcp unchecked"`},
		"checked again":       {src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nprotocol = \"tcp\"")), src(a), `~ egress.a narrow "a.example.com:443/tcp unchecked" "a.example.com:443"`},
		"a written default":   {src(rule("a", "cidrs = [\"10.0.0.0/8\"]\nports = [443]")), src(rule("a", "cidrs = [\"10.0.0.0/8\"]\nports = [443]\nprotocol = \"tcp\"")), ``},
		"ping":                {src(""), src(rule("p", "cidrs = [\"10.0.0.0/8\"]\nprotocol = \"icmp\"")), `+ egress.p widen "" "10.0.0.0/8 by ping"`},
		"ping less":           {src(rule("p", "cidrs = [\"10.0.0.0/8\"]\nprotocol = \"icmp\"")), src(rule("p", "cidrs = [\"10.1.0.0/16\"]\nprotocol = \"icmp\"")), `~ egress.p narrow "10.0.0.0/8 by ping" "10.1.0.0/16 by ping"`},
		"ping is no tcp":      {src(rule("p", "cidrs = [\"10.0.0.0/8\"]\nports = [443]")), src(rule("p", "cidrs = [\"10.0.0.0/8\"]\nprotocol = \"icmp\"")), `~ egress.p both "10.0.0.0/8:443" "10.0.0.0/8 by ping"`},
		"owner only":          {src(a), src(rule("a", "domains = [\"a.example.com\"]\nports = [443]\nowner = \"x\"")), `+ egress.a.owner  "" "x"`},
		"another environment": {src(""), src(rule("b", "environments = [\"backend\"]\nports = [8000]")), `+ egress.b widen "" "backend.blast.internal:8000"`},
		"let in":              {src(""), src("ingress \"w\" {\nport = 8080\nenvironments = [\"web\", \"a\"]\n}"), `+ ingress.w widen "" "environment a, web to port 8080"`},
		"one less let in":     {src("ingress \"w\" {\nport = 8080\nenvironments = [\"web\", \"a\"]\n}"), src("ingress \"w\" {\nport = 8080\nenvironments = [\"a\"]\n}"), `~ ingress.w narrow "environment a, web to port 8080" "environment a to port 8080"`},
		"several ports":       {src("ingress \"w\" {\nport = 8080\n}"), src("ingress \"w\" {\nports = [8081, 8080]\n}"), `~ ingress.w widen "127.0.0.1:8080 to port 8080" "127.0.0.1:8080 to port 8080, 127.0.0.1:8081 to port 8081"`},
		"to udp":              {src("ingress \"w\" {\nport = 8080\n}"), src("ingress \"w\" {\nport = 8080\nprotocol = \"udp\"\n}"), `~ ingress.w both "127.0.0.1:8080 to port 8080" "127.0.0.1:8080/udp to port 8080"`},
		"published elsewhere": {src("ingress \"w\" {\nport = 8080\n}"), src("ingress \"v\" {\nport = 8080\n}"), "+ ingress.v  \"\" \"127.0.0.1:8080 to port 8080\"\n- ingress.w  \"127.0.0.1:8080 to port 8080\" \"\""},
		"another server":      {src(""), src("dns {\nservers = [\"192.0.2.53\"]\n}"), `+ dns  "" "192.0.2.53:53"`},
	} {
		if got := strings.TrimSpace(configtest.Items(t, Words{}, c.before, c.after)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	for src, want := range map[string]string{
		"": "rejects all",
		"network {\n  egress \"r\" {\n    domains = [\"pypi.org\", \"files.pythonhosted.org\"]\n    ports = [443]\n    during = [\"apply\"]\n  }\n}\n": "rejects all; pypi.org, files.pythonhosted.org:443 while installing",
		"network {\n  default = \"audit\"\n  ingress \"w\" {\n    port = 8080\n  }\n}\n":                                                               "allows and logs all; publishes 127.0.0.1:8080",
		"network {\n  egress \"d\" {\n    cidrs = [\"10.0.0.0/8\"]\n    ports = [53]\n    protocol = \"udp\"\n  }\n}\n":                                "rejects all but 10.0.0.0/8:53/udp",
		"network {\n  ingress \"w\" {\n    ports = [8080, 8081, 8082, 8083]\n  }\n}\n":                                                                 "rejects all; publishes 127.0.0.1:8080, 127.0.0.1:8081, 127.0.0.1:8082, ...",
		"network {\n  ingress \"w\" {\n    ports = [8080, 8081]\n    environments = [\"a\", \"b\"]\n  }\n}\n":                                          "rejects all; port 8080, 8081 for a, b",
	} {
		o := configtest.Objects(t, Words{}, src)[1]
		if got := (Words{}).Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Summary; got != want {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
}

func TestNotes(t *testing.T) {
	for src, want := range map[string]int{
		"":                                      0,
		"network {\n  default = \"audit\"\n}\n": 1,
		"network {\n  ingress \"w\" {\n    port = 8080\n    publish = \"0.0.0.0:8080\"\n  }\n}\n": 1,
		"network {\n  ingress \"w\" {\n    port = 8080\n  }\n}\n":                                 0,
		"network {\n  egress \"w\" {\n    ports = [80]\n    cidrs = [\"0.0.0.0/0\"]\n  }\n}\n":    1,
	} {
		o := configtest.Objects(t, Words{}, src)[1]
		if got := (Words{}).Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Notes; len(got) != want {
			t.Errorf("%q: %q", src, got)
		}
	}
}

// What was found on the host is told in its own words.
func TestDrift(t *testing.T) {
	o := configtest.Objects(t, Words{}, "")[1]
	c := plan.Change{Addr: PolicyAddr, From: []byte(`{"default":"deny","drift":["nft: rule missing in chain output"]}`), To: o.Attrs}
	items := (Words{}).Describe(c).Items
	if len(items) != 1 || items[0].Because != "nft: rule missing in chain output" {
		t.Errorf("%+v", items)
	}
}

// Each of these could be read in two ways, or can't be done.
func TestRulesThatDontFit(t *testing.T) {
	many := "[8000"
	for i := 1; i <= maxPorts; i++ {
		many += ", " + strconv.Itoa(8000+i)
	}
	for _, c := range []struct{ src, summary string }{
		{`egress "a" { ports = [1] }`, "Rule without a target"},
		{`egress "a" { domains = ["a.org"] }`, "Missing argument"},
		{`egress "a" {
domains = ["a.org"]
cidrs = ["10.0.0.0/8"]
ports = [1]
}`, "Two kinds of target"},
		{`egress "a" {
environments = ["b"]
cidrs = ["10.0.0.0/8"]
ports = [1]
}`, "Two kinds of target"},
		{`egress "a" {
domains = ["a.org"]
protocol = "icmp"
}`, "ICMP by name"},
		{`egress "a" {
cidrs = ["10.0.0.0/8"]
ports = [1]
protocol = "icmp"
}`, "Ports of ICMP"},
		{`egress "a" {
environments = ["b"]
ports = [1]
protocol = "udp"
}`, "UDP by name"},
		{`egress "a" {
environments = ["default"]
ports = [1]
}`, "Invalid target"},
		{`egress "a" {
environments = ["Not_A_Label"]
ports = [1]
}`, "Invalid target"},
		{`egress "a" {
environments = []
ports = [1]
}`, "Empty list"},
		{`egress "a" {
domains = ["b.blast.internal"]
ports = [1]
}`, "Invalid target"},
		{`egress "a" {
domains = ["*.blast.internal"]
ports = [1]
}`, "Invalid target"},
		{`ingress "a" { publish = "127.0.0.1:1" }`, "Missing argument"},
		{`ingress "a" {
port = 8000
ports = [8000]
}`, "Two kinds of port"},
		{`ingress "a" {
ports = [8000, 80]
}`, "Privileged port"},
		{`ingress "a" {
ports = [8000]
publish = "127.0.0.1:8000"
}`, "Invalid address"},
		{`ingress "a" {
port = 8000
publish = "127.0.0.1"
}`, "Invalid address"},
		{`ingress "a" {
port = 8000
protocol = "udp"
environments = ["b"]
}`, "UDP between environments"},
		{`ingress "a" {
ports = ` + many + `]
}`, "Too many ports"},
		{`ingress "a" {
ports = [8000, 8001]
}
ingress "b" {
port = 9000
publish = "0.0.0.0:8001"
}`, "Duplicate definition"},
	} {
		_, diags := configtest.Load(t, configtest.Project(t, "network {\n"+c.src+"\n}\n"), Words{})
		if len(diags) != 1 || diags[0].Summary != c.summary {
			t.Errorf("%s\n%v, want one: %s", c.src, diags, c.summary)
		}
	}
	// The same number of another protocol is another port.
	policy(t, "network {\n  ingress \"a\" {\n    port = 8000\n  }\n  ingress \"b\" {\n    port = 8000\n    protocol = \"udp\"\n  }\n}\n")
}

func TestJunk(t *testing.T) { configtest.Junk(t, Words{}) }
