package allow_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config"
	"blast.example/blast/config/edit"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/allow"
	"blast.example/blast/runtime/network/gate/rules"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]allow.Target{
		"api.github.com:443":   {Domain: "api.github.com", Port: 443, Protocol: "tcp"},
		"API.GitHub.com.":      {Domain: "api.github.com", Port: 443, Protocol: "tcp"},
		"bücher.example:80":    {Domain: "xn--bcher-kva.example", Port: 80, Protocol: "tcp"},
		"*.example.com:8443":   {Domain: "*.example.com", Port: 8443, Protocol: "tcp"},
		"10.1.2.3:5432":        {CIDR: "10.1.2.3/32", Port: 5432, Protocol: "tcp"},
		"10.0.0.0/8:22/tcp":    {CIDR: "10.0.0.0/8", Port: 22, Protocol: "tcp"},
		"192.0.2.1:53/udp":     {CIDR: "192.0.2.1/32", Port: 53, Protocol: "udp"},
		"[2001:db8::1]:53/udp": {CIDR: "2001:db8::1/128", Port: 53, Protocol: "udp"},
		"2001:db8::1":          {CIDR: "2001:db8::1/128", Port: 443, Protocol: "tcp"},
		"192.0.2.1/icmp":       {CIDR: "192.0.2.1/32", Protocol: "icmp"},
		"2001:db8::/32/icmp":   {CIDR: "2001:db8::/32", Protocol: "icmp"},
		"192.0.2.1:7/icmp":     {}, "a.example/icmp": {}, "backend.blast.internal:80": {},
		"[2001:db8::]/32": {}, "[2001:db8::/32]:1": {CIDR: "2001:db8::/32", Port: 1, Protocol: "tcp"},
		"": {}, ":443": {}, "a.example:": {}, "a.example:0": {}, "a.example:65536": {}, "a.example:x": {}, "https://a.example": {}, "*.com:443": {}, "a.*.example": {},
		"a.example:53/udp": {}, "a b.example": {}, "${path}.example": {}, "a.example/x:1": {}, "10.0.0.1/8:22": {}, "::ffff:10.0.0.1": {}, "[::1": {}, "1.2.3:4": {}, "a.example\n:443": {}, "-": {},
	} {
		got, err := allow.Parse(text)
		if want == (allow.Target{}) {
			if err == nil {
				t.Errorf("%q is %+v", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
			continue
		}
		if again, err := allow.Parse(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which is %+v, %v", text, got, again, err)
		}
	}
}

// noon of a day on which no rule of these tests expires but "old".
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)

// load reads a text as the command line does.
func load(t *testing.T, text string) *config.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), config.FileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, diags := config.Load(path, config.Options{Words: words.ForConfig(), Text: []byte(text)})
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	return f
}

func policy(t *testing.T, f *config.File, env string) network.Policy {
	t.Helper()
	for _, e := range f.Environments {
		if e.Name == env {
			p, err := allow.PolicyOf(e.Objects)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatalf("no environment %q", env)
	return network.Policy{}
}

// edited is the text after an edit, which must mean what was wished and nothing else.
func edited(t *testing.T, text, env string, w allow.Wish) string {
	t.Helper()
	before := load(t, text)
	p := policy(t, before, env)
	f, diags := edit.Parse([]byte(text), config.FileName)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	body := f.Top()
	if env != "default" {
		body, _ = body.Block("environment", env)
	}
	rule := w.Write(body, p, noon)
	out := string(f.Bytes())
	after := load(t, out)
	// A test's project is another folder each time, which other kinds note.
	for i := range after.Environments {
		for j, o := range after.Environments[i].Objects {
			after.Environments[i].Objects[j].Attrs = []byte(strings.ReplaceAll(string(o.Attrs), after.Project, before.Project))
		}
	}
	if err := allow.Exactly(before.Environments, after.Environments, env, rule); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, ok := w.Allowed(policy(t, after, env), noon); !ok {
		t.Fatalf("%s is not allowed by\n%s", w.Target, out)
	}
	onlyMore(t, p, policy(t, after, env), w.Target)
	return out
}

// onlyMore asks about names and addresses that the tests have, and others.
func onlyMore(t *testing.T, was, is network.Policy, to allow.Target) {
	t.Helper()
	before, err := rules.Compile(was)
	if err != nil {
		t.Fatal(err)
	}
	after, err := rules.Compile(is)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a.example", "b.example", "x.a.example", "api.github.com", "other.example"} {
		for _, port := range []uint16{1, 80, 443, 8443, 5432} {
			if a, b := before.NamePort(host, port, noon).OK, after.NamePort(host, port, noon).OK; a != b && (host != to.Domain || port != to.Port) {
				t.Errorf("%s lets out %s:%d, too", to, host, port)
			}
		}
	}
	if len(after.CIDRs()) > len(before.CIDRs()) && to.CIDR == "" {
		t.Errorf("%s lets out addresses", to)
	}
}

func target(t *testing.T, text string) allow.Target {
	t.Helper()
	to, err := allow.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestWrite(t *testing.T) {
	for what, c := range map[string]struct {
		text, env string
		wish      allow.Wish
		want      string
	}{
		"no network block": {"# nothing\n", "default", allow.Wish{Target: target(t, "api.github.com:443"), Reason: "release \"notes\" ${x}"},
			"# nothing\n\nnetwork {\n  egress \"api-github-com\" {\n    domains = [\"api.github.com\"]\n    ports   = [443]\n    reason  = \"release \\\"notes\\\" $${x}\"\n  }\n}\n"},
		"a port more": {"network {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = [443] # web\n  }\n}\n", "default", allow.Wish{Target: target(t, "a.example:80")},
			"network {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = [443, 80] # web\n  }\n}\n"},
		"a rule of two hosts stays": {"network {\n  egress \"a-example\" {\n    domains = [\"a.example\", \"b.example\"]\n    ports = [443]\n  }\n}\n", "default", allow.Wish{Target: target(t, "a.example:80")},
			"network {\n  egress \"a-example\" {\n    domains = [\"a.example\", \"b.example\"]\n    ports = [443]\n  }\n\n  egress \"a-example-2\" {\n    domains = [\"a.example\"]\n    ports   = [80]\n  }\n}\n"},
		"ports that are an expression stay": {"locals {\n  p = [443]\n}\nnetwork {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = local.p\n  }\n}\n", "default", allow.Wish{Target: target(t, "a.example:80")},
			"locals {\n  p = [443]\n}\nnetwork {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = local.p\n  }\n\n  egress \"a-example\" {\n    domains = [\"a.example\"]\n    ports   = [80]\n  }\n}\n"},
		"a rule that is over, or for packages, stays": {"network {\n  egress \"old\" {\n    domains = [\"a.example\"]\n    ports = [443]\n    expires = \"2020-01-01\"\n  }\n  egress \"pip\" {\n    domains = [\"a.example\"]\n    ports = [443]\n    during = [\"apply\"]\n  }\n}\n", "default",
			allow.Wish{Target: target(t, "a.example:443"), During: []string{"run"}, Expires: "2027-01-31"},
			"network {\n  egress \"old\" {\n    domains = [\"a.example\"]\n    ports = [443]\n    expires = \"2020-01-01\"\n  }\n  egress \"pip\" {\n    domains = [\"a.example\"]\n    ports = [443]\n    during = [\"apply\"]\n  }\n\n  egress \"a-example\" {\n    domains = [\"a.example\"]\n    ports   = [443]\n    during  = [\"run\"]\n    expires = \"2027-01-31\"\n  }\n}\n"},
		"an opaque rule stays": {"network {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = [22]\n    protocol = \"tcp\"\n  }\n}\n", "default", allow.Wish{Target: target(t, "a.example:443")},
			"network {\n  egress \"x\" {\n    domains = [\"a.example\"]\n    ports = [22]\n    protocol = \"tcp\"\n  }\n\n  egress \"a-example\" {\n    domains = [\"a.example\"]\n    ports   = [443]\n  }\n}\n"},
		"ping": {"network {}\n", "default", allow.Wish{Target: target(t, "192.0.2.1/icmp")},
			"network {\n  egress \"192-0-2-1\" {\n    cidrs    = [\"192.0.2.1/32\"]\n    protocol = \"icmp\"\n  }\n}\n"},
		"named": {"environment \"dev\" {}\nenvironment \"ci\" {\r\n}", "dev", allow.Wish{Target: target(t, "10.1.2.3:53/udp"), Name: "dns"},
			"environment \"dev\" {\n  network {\n    egress \"dns\" {\n      cidrs    = [\"10.1.2.3/32\"]\n      ports    = [53]\n      protocol = \"udp\"\n    }\n  }\n}\nenvironment \"ci\" {\r\n}"},
		"windows": {"network {\r\n  egress \"x\" {\r\n    domains = [\"a.example\"]\r\n    ports = [\r\n      443,\r\n    ]\r\n  }\r\n}\r\n", "default", allow.Wish{Target: target(t, "a.example:80")},
			"network {\r\n  egress \"x\" {\r\n    domains = [\"a.example\"]\r\n    ports = [\r\n      443,\r\n      80,\r\n    ]\r\n  }\r\n}\r\n"},
	} {
		t.Run(what, func(t *testing.T) {
			if d := cmp.Diff(c.want, edited(t, c.text, c.env, c.wish)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	p := policy(t, load(t, `network {
  egress "wild" {
    domains = ["*.a.example"]
    ports = [443]
  }
  egress "old" {
    domains = ["b.example"]
    ports = [443]
    expires = "2020-01-01"
  }
  egress "pip" {
    domains = ["pypi.org"]
    ports = [443]
    during = ["apply"]
  }
  egress "net" {
    cidrs = ["10.0.0.0/8"]
    ports = [22]
  }
}
`), "default")
	for text, want := range map[string]string{"x.a.example": "wild", "a.example": "", "x.a.example:80": "", "b.example": "", "pypi.org": "", "10.0.0.0/8:22": "net", "10.0.0.0/8:22/udp": "", "10.1.2.3:22": ""} {
		if rule, _ := (allow.Wish{Target: target(t, text)}).Allowed(p, noon); rule != want {
			t.Errorf("%s: by %q, want %q", text, rule, want)
		}
	}
	if rule, ok := (allow.Wish{Target: target(t, "pypi.org"), During: []string{"apply"}}).Allowed(p, noon); !ok || rule != "pip" {
		t.Errorf("while packages are installed: %q %v", rule, ok)
	}
}

// Whatever a file looks like, an edit of it can be read and lets out that and no more.
func TestAnyLayout(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 7)) //nolint:gosec // the same files each time
	for range 300 {
		text, env := layout(r)
		host := pick(r, "a.example", "b.example", "api.github.com", "10.1.2.3", "x.a.example")
		w := allow.Wish{Target: target(t, fmt.Sprintf("%s:%s", host, pick(r, "80", "443", "8443", "5432")))}
		if r.IntN(4) == 0 {
			w.Reason = pick(r, "why not", `"}`, "a\nb", "# }", "%{if}", "$")
		}
		if _, ok := w.Allowed(policy(t, load(t, text), env), noon); ok {
			continue
		}
		out := edited(t, text, env, w)
		if strings.Contains(text, "\r\n") && strings.Contains(strings.ReplaceAll(out, "\r\n", ""), "\n") {
			t.Errorf("two sorts of ends of lines in %q", out)
		}
		for _, line := range strings.Split(text, "\n") {
			if _, comment, ok := strings.Cut(line, "#"); ok && !strings.Contains(out, "#"+comment) {
				t.Errorf("a comment is gone from\n%s", out)
			}
		}
	}
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// layout is a file of a random shape, and an environment of it.
func layout(r *rand.Rand) (text, env string) {
	var b strings.Builder
	for i := range r.IntN(4) {
		list := pick(r, "[443]", "[ 443 ]", "[443,]", "[\n      443\n    ]", "[\n      443, # a, b ]\n      # c }\n    ]", "[443,\n     22]", "[\n443]", "concat([443], [22])", "[/* ] */443]")
		fmt.Fprintf(&b, "  egress %q {%s\n    domains = [%s]\n    ports = %s%s\n  }%s", fmt.Sprintf("r%d", i), pick(r, "", " # {"), pick(r, `"a.example"`, `"b.example", "a.example"`, `"*.a.example"`), list, pick(r, "", " # }", "\n    reason = \"}\""), pick(r, "\n", "\n\n", " # end\n"))
	}
	inner := b.String()
	network := pick(r, "", "# no network\n", "network {\n"+inner+"}\n", "network {\n"+inner+"  default = \"deny\"\n}\n", "network {\n\n"+inner+"\n\n}\n", "network {\n  # first\n"+inner+"  # last }\n}\n")
	if inner == "" && r.IntN(2) == 0 {
		network = pick(r, "network {}\n", "network { default = \"deny\" }\n", "network{\n}\n")
	}
	env, text = "default", network
	if r.IntN(2) == 0 {
		env = "dev"
		text = "environment \"dev\" {\n" + network + "}\n\nenvironment \"ci\" {\n}\n"
	}
	text = pick(r, "", "# top\n", "\n\n") + text + pick(r, "", "\n# end", "\n")
	if r.IntN(3) == 0 {
		text = strings.TrimSuffix(text, "\n")
	}
	if r.IntN(3) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text, env
}
