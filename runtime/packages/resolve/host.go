package resolve

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages/index"
)

// target is where Blast wants to connect to while it installs.
type target struct {
	host string
	port uint16
}

func (t target) String() string { return fmt.Sprintf("%s:%d", t.host, t.port) }

// denied is a target that no rule names.
type denied struct{ target }

func (d denied) Error() string {
	return fmt.Sprintf("no egress rule allows %s while installing", d.target)
}

// Denied marks the error as final.
func (denied) Denied() {}

// policies are those of the network in the same environment: Blast itself obeys them.
func policies(objects []plan.Object) (out []network.Policy) {
	for _, o := range objects {
		var p network.Policy
		if o.Addr == network.PolicyAddr && o.Decode(&p) == nil {
			out = append(out, p)
		}
	}
	return out
}

func (r *run) allow(host string, port uint16) error {
	t := target{host, port}
	for _, p := range r.network() {
		if p.Default == "audit" || slices.ContainsFunc(p.Egress, func(e network.Egress) bool { return r.lacks(e, t) == "" }) {
			return nil
		}
	}
	return denied{t}
}

// lacks says what a rule lacks to allow a target. "-" is a rule of other hosts.
func (r *run) lacks(e network.Egress, t target) string {
	switch {
	case e.Protocol != "tcp" || !names(e, t.host):
		return "-"
	case !slices.Contains(e.Ports, t.port):
		return fmt.Sprintf("has not port %d; add it to ports", t.port)
	case !slices.Contains(e.During, "apply"):
		return fmt.Sprintf("is for %s; add \"apply\" to during", strings.Join(e.During, " and "))
	case e.Expires == "":
		return ""
	}
	day, err := time.ParseInLocation(time.DateOnly, e.Expires, time.Local)
	if err != nil || !r.Now().Before(day.AddDate(0, 0, 1)) {
		return fmt.Sprintf("expired after %s; if it is still needed, set a later day", e.Expires)
	}
	return ""
}

// names reports whether a rule is about a host: an address by its CIDRs, a name
// by its domains, of which "*.example.com" is all below example.com.
func names(e network.Egress, host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(e.CIDRs, func(c string) bool {
			p, err := netip.ParsePrefix(c)
			return err == nil && p.Contains(addr.Unmap())
		})
	}
	return slices.ContainsFunc(e.Domains, func(d string) bool {
		if apex, wild := strings.CutPrefix(d, "*."); wild {
			return strings.HasSuffix(host, "."+apex)
		}
		return d == host
	})
}

// allowedFiles checks where the wheels come from: a lock may name any host.
func (r *run) allowedFiles() hcl.Diagnostics {
	urls := make([]string, 0, len(r.set.Packages))
	for _, p := range r.set.Packages {
		urls = append(urls, p.URL)
	}
	return r.allowedURLs(urls)
}

func (r *run) allowedURLs(urls []string) hcl.Diagnostics {
	var missing []target
	seen := map[target]bool{} // most are of one host
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return problem(r.place("python.index"), "Invalid URL", "An address of the index or the lock can't be read.")
		}
		host, port, err := index.HostPort(u)
		if err != nil {
			return problem(r.place("python.index"), "Invalid URL", err.Error()+".")
		}
		t := target{host, port}
		if !seen[t] && r.allow(host, port) != nil {
			missing = append(missing, t)
		}
		seen[t] = true
	}
	if len(missing) == 0 {
		return nil
	}
	return r.demand(missing)
}

// companions are hosts that an index sends its files from: asked for at once,
// people need to be told only once.
var companions = map[string]string{"pypi.org": "files.pythonhosted.org"}

// demand asks for rules, with what to write.
func (r *run) demand(missing []target) hcl.Diagnostics {
	for _, t := range missing {
		if c := (target{companions[t.host], t.port}); c.host != "" && r.allow(c.host, c.port) != nil && !slices.Contains(missing, c) {
			missing = append(missing, c)
		}
	}
	var hosts, near []string
	var rules []network.Egress
	for _, p := range r.network() {
		rules = append(rules, p.Egress...)
	}
	for _, t := range missing {
		hosts = append(hosts, t.String())
		for _, e := range rules {
			if why := r.lacks(e, t); why != "-" && why != "" {
				near = append(near, fmt.Sprintf("The rule %q names %s, but %s.", e.Name, t.host, why))
			}
		}
	}
	detail := fmt.Sprintf("Packages come from %s, and no egress rule lets Blast connect there while it installs.", strings.Join(hosts, " and "))
	if len(near) > 0 {
		detail += "\n" + strings.Join(near, "\n") + "\nOr add to the network block:\n" + blocks(missing, rules)
	} else {
		detail += " Add to the network block:\n" + blocks(missing, rules)
	}
	return problem(r.policyPlace(), "Installing needs a host that no rule allows", detail)
}

// blocks are egress blocks for targets, one for each port and kind of host.
func blocks(missing []target, rules []network.Egress) string {
	var b strings.Builder
	var done []string
	for _, t := range missing {
		attr, _ := hostAttr(t.host)
		key := fmt.Sprint(attr, t.port)
		if slices.Contains(done, key) {
			continue
		}
		done = append(done, key)
		var quoted []string
		for _, o := range missing {
			if a, text := hostAttr(o.host); a == attr && o.port == t.port {
				quoted = append(quoted, fmt.Sprintf("%q", text))
			}
		}
		name := free("registry", rules)
		rules = append(rules, network.Egress{Name: name})
		wide := max(len(attr), len("during")) // as blast fmt aligns them
		fmt.Fprintf(&b, "\n  egress %q {\n    %-*s = [%s]\n    %-*s = [%d]\n    %-*s = [\"apply\"]\n  }\n", name, wide, attr, strings.Join(quoted, ", "), wide, "ports", t.port, wide, "during")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func hostAttr(host string) (attr, text string) {
	if a, err := netip.ParseAddr(host); err == nil {
		return "cidrs", netip.PrefixFrom(a.WithZone(""), a.BitLen()).String()
	}
	return "domains", host
}

// free is a name that no rule has.
func free(name string, rules []network.Egress) string {
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		if !slices.ContainsFunc(rules, func(e network.Egress) bool { return e.Name == try }) {
			return try
		}
	}
}

func (r *run) policyPlace() *hcl.Range {
	for _, o := range r.in.Objects {
		if o.Addr == network.PolicyAddr {
			return block.RangeOf(o.Src[""])
		}
	}
	return nil
}

func sameName(extra string) func(string) bool {
	return func(o string) bool { return o == normal(extra) }
}
