package network

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

const limited = `network {
  bandwidth {
    egress  = "10mbit"
    ingress = "1.5gbit"
  }
  connections {
    max  = 200
    rate = "20/s"
  }
  egress "a" {
    domains = ["a.example.com"]
    ports   = [443]
    bandwidth {
      ingress = "64kbit"
    }
    connections {
      rate = "100/m"
    }
    quota {
      egress  = "100MiB"
      ingress = "1GiB"
      window  = "24h"
    }
  }
  ingress "w" {
    port = 8000
    connections {
      max = 5
    }
  }
}
`

func TestLimits(t *testing.T) {
	want := Policy{
		Default: "deny",
		Egress: []Egress{{
			Name: "a", Domains: []string{"a.example.com"}, Ports: []uint16{443}, Protocol: "tcp", During: []string{"apply", "run"},
			Limits: Limits{Bandwidth{Ingress: 64000}, Connections{Rate: Rate{100, time.Minute}}},
			Quota:  Quota{100 << 20, 1 << 30, 24 * time.Hour},
		}},
		Ingress: []Ingress{{Name: "w", Port: 8000, Publish: "127.0.0.1:8000", Limits: Limits{Connections: Connections{Max: 5}}}},
		Limits:  Limits{Bandwidth{1e7, 15e8}, Connections{200, Rate{20, time.Second}}},
	}
	if d := cmp.Diff(want, policy(t, limited)); d != "" {
		t.Error(d)
	}
	o := configtest.Objects(t, Words{}, limited)[1]
	for item, place := range map[string]string{
		"bandwidth.egress": "blast.hcl:3", "connections.rate": "blast.hcl:8", "egress.a.quota.window": "blast.hcl:22",
		"egress.a.connections.rate": "blast.hcl:17", "egress.a.connections.max": "blast.hcl:16", "ingress.w.connections.max": "blast.hcl:28",
	} {
		if got := plan.PlaceOf(o.Src, item); got != place {
			t.Errorf("%s is at %q, want %q", item, got, place)
		}
	}
	sum := (Words{}).Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Summary
	if want := "rejects all but a.example.com:443 (at most 64kbit in, 100/m new ones, 100 MiB out each 24h, 1 GiB in each 24h); publishes 127.0.0.1:8000 (at most 5 connections); all together at most 10mbit out, 1500mbit in, 200 connections, 20/s new ones"; sum != want {
		t.Errorf("%s\nwant\n%s", sum, want)
	}
}

// What was recorded before there were limits is what is wanted without any.
func TestNoLimitsAreNotWritten(t *testing.T) {
	o := configtest.Objects(t, Words{}, "network {\n  egress \"a\" {\n    domains = [\"x.org\"]\n    ports = [443]\n  }\n  ingress \"w\" {\n    port = 8000\n  }\n}\n")[1]
	want := `{"default":"deny","egress":[{"name":"a","domains":["x.org"],"ports":[443],"protocol":"tcp","during":["apply","run"]}],"ingress":[{"name":"w","port":8000,"publish":"127.0.0.1:8000"}]}`
	if string(o.Attrs) != want {
		t.Errorf("%s\nwant\n%s", o.Attrs, want)
	}
}

func TestDescribeLimits(t *testing.T) {
	src := func(inner string) *string { s := "network {\n" + inner + "\n}\n"; return &s }
	rule := func(name, inner string) string {
		return "egress \"" + name + "\" {\ndomains = [\"x.org\"]\nports = [443]\n" + inner + "\n}\n"
	}
	bw := func(args string) string { return "bandwidth {\n" + args + "\n}\n" }
	conns := func(args string) string { return "connections {\n" + args + "\n}\n" }
	quota := func(args string) string { return "quota {\n" + args + "\n}\n" }
	port := func(inner string) string { return "ingress \"w\" {\nport = 8000\n" + inner + "\n}\n" }
	for name, c := range map[string]struct {
		before, after *string
		want          string
	}{
		"new":               {src(""), src(bw(`egress = "10mbit"`)), `+ bandwidth.egress narrow "" "10mbit"`},
		"raised":            {src(bw(`egress = "10mbit"`)), src(bw(`egress = "20mbit"`)), `~ bandwidth.egress widen "10mbit" "20mbit"`},
		"lowered":           {src(bw(`ingress = "20mbit"`)), src(bw(`ingress = "10mbit"`)), `~ bandwidth.ingress narrow "20mbit" "10mbit"`},
		"gone":              {src(bw(`ingress = "20mbit"`)), src(""), `- bandwidth.ingress widen "20mbit" ""`},
		"below the default": {src(""), src(conns("max = 10")), `+ connections.max narrow "" "10"`},
		"above the default": {src(""), src(conns("max = 2000")), `+ connections.max widen "" "2000"`},
		"the default":       {src(""), src(conns("max = 1024")), `+ connections.max  "" "1024"`},
		"back from above":   {src(conns("max = 2000")), src(""), `- connections.max narrow "2000" ""`},
		"rate":              {src(conns(`rate = "20/s"`)), src(conns(`rate = "30/s"`)), `~ connections.rate widen "20/s" "30/s"`},
		"rate, both":        {src(conns(`rate = "20/s"`)), src(conns(`rate = "100/m"`)), `~ connections.rate both "20/s" "100/m"`},
		"rate, more even":   {src(conns(`rate = "60/m"`)), src(conns(`rate = "1/s"`)), `~ connections.rate narrow "60/m" "1/s"`},
		"of a rule":         {src(rule("a", "")), src(rule("a", bw(`egress = "1mbit"`))), `+ egress.a.bandwidth.egress narrow "" "1mbit"`},
		"a rule without":    {src(rule("a", conns("max = 3"))), src(rule("a", "")), `- egress.a.connections.max widen "3" ""`},
		"created with":      {src(""), src(rule("a", conns("max = 3"))), `+ egress.a widen "" "x.org:443 (at most 3 connections)"`},
		"renamed":           {src(rule("a", conns("max = 3"))), src(rule("b", conns("max = 3"))), "+ egress.b  \"\" \"x.org:443 (at most 3 connections)\"\n- egress.a  \"x.org:443 (at most 3 connections)\" \"\""},
		"renamed, wider":    {src(rule("a", conns("max = 3"))), src(rule("b", "")), "+ egress.b widen \"\" \"x.org:443\"\n- egress.a  \"x.org:443 (at most 3 connections)\" \"\""},
		"quota":             {src(rule("a", quota(`egress = "1MiB"`))), src(rule("a", quota(`egress = "2MiB"`))), `~ egress.a.quota.egress widen "1 MiB" "2 MiB"`},
		"new quota":         {src(rule("a", "")), src(rule("a", quota("egress = \"1MiB\"\nwindow = \"1h\""))), "+ egress.a.quota.egress narrow \"\" \"1 MiB\"\n+ egress.a.quota.window  \"\" \"1h\""},
		"starts anew":       {src(rule("a", quota(`egress = "1MiB"`))), src(rule("a", quota("egress = \"1MiB\"\nwindow = \"1h\""))), `+ egress.a.quota.window widen "" "1h"`},
		"later":             {src(rule("a", quota("egress = \"1MiB\"\nwindow = \"1h\""))), src(rule("a", quota("egress = \"1MiB\"\nwindow = \"2h\""))), `~ egress.a.quota.window narrow "1h" "2h"`},
		"quota renamed":     {src(rule("a", quota(`egress = "1MiB"`))), src(rule("b", quota(`egress = "2MiB"`))), "+ egress.b widen \"\" \"x.org:443 (at most 2 MiB out)\"\n- egress.a  \"x.org:443 (at most 1 MiB out)\" \"\""},
		"of a port":         {src(port("")), src(port(conns("max = 3"))), `+ ingress.w.connections.max narrow "" "3"`},
		"port with target":  {src(port("")), src(strings.Replace(port(conns("max = 3")), "8000", "8001", 1)), "+ ingress.w.connections.max narrow \"\" \"3\"\n~ ingress.w both \"127.0.0.1:8000 to port 8000\" \"127.0.0.1:8001 to port 8001\""},
		"policy created":    {nil, src(bw(`egress = "10mbit"`)), ``},
	} {
		if got := strings.TrimSpace(configtest.Items(t, Words{}, c.before, c.after)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}
