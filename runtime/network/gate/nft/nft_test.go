package nft

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
)

func namespace(t *testing.T) (*os.File, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	path := filepath.Join(t.TempDir(), "net")
	if err := netns.Create(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netns.Unpin(path) })
	ns, err := netns.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	if err := netns.Plumb(ns); err != nil {
		t.Fatal(err)
	}
	return ns, path
}

func ruleset(t *testing.T, p network.Policy) Ruleset {
	t.Helper()
	r, err := rules.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return Compile(r)
}

var always = []string{"apply", "run"}

func some() network.Policy {
	return network.Policy{Default: "deny", Egress: []network.Egress{
		{Name: "web", Domains: []string{"example.com"}, Ports: []uint16{80, 443, 444, 445}, Protocol: "tcp", During: always},
		{Name: "db", CIDRs: []string{"10.20.0.0/16", "fd00:1::/64"}, Ports: []uint16{5432}, Protocol: "tcp", During: always},
		{Name: "odd", CIDRs: []string{"93.184.208.0/21"}, Ports: []uint16{123}, Protocol: "udp", During: always},
		{Name: "all", CIDRs: []string{"0.0.0.0/0"}, Ports: []uint16{8443}, Protocol: "tcp", During: always},
	}}
}

func TestInstalledIsEqual(t *testing.T) {
	for name, p := range map[string]network.Policy{"none": {Default: "deny"}, "some": some(), "audit": {Default: "audit"}} {
		t.Run(name, func(t *testing.T) {
			ns, path := namespace(t)
			want := ruleset(t, p)
			for range 2 { // twice is once
				if err := Install(ns, want); err != nil {
					t.Fatal(err)
				}
			}
			wrong, err := Compare(ns, want)
			if err != nil || len(wrong) != 0 {
				t.Errorf("%q, %v\n%s", wrong, err, nft(t, path, "list ruleset"))
			}
			if other, _ := Compare(ns, ruleset(t, network.Policy{Default: "audit", Egress: some().Egress})); len(other) == 0 {
				t.Error("another ruleset is equal too")
			}
			if err := Remove(ns); err != nil {
				t.Fatal(err)
			}
			if there, err := Present(ns); there || err != nil {
				t.Errorf("after removing: %v, %v", there, err)
			}
		})
	}
}

func TestCompareSeesTampering(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"flush ruleset", "table inet blast is missing"},
		{"flush chain inet blast out", `rule "refuse tcp" is missing in chain out`},
		{"flush table inet blast", `rule "tcp" is missing in chain redirect`},
		{"insert rule inet blast out accept", "unexpected rule 1 in chain out"},
		{"insert rule inet blast out tcp dport 9 counter accept comment \"mine\"", `unexpected rule 1 ("mine") in chain out`},
		{"add chain inet blast out { policy accept ; }", "chain out has another policy"},
		{"add chain inet blast extra", `unexpected chain "extra"`},
		{"add table ip mine", `unexpected table "mine"`},
		{"add table inet blast { flags dormant ; }", "table blast is switched off"},
		{"add set inet blast s { type ipv4_addr ; }", `unexpected set "s"`},
	} {
		t.Run(c.script, func(t *testing.T) {
			ns, path := namespace(t)
			want := ruleset(t, some())
			if err := Install(ns, want); err != nil {
				t.Fatal(err)
			}
			nft(t, path, c.script)
			wrong, err := Compare(ns, want)
			if err != nil || !strings.Contains(strings.Join(wrong, "\n"), c.want) {
				t.Errorf("got %q, %v; want %q", wrong, err, c.want)
			}
			if err := Install(ns, want); err != nil {
				t.Fatal(err)
			}
			if wrong, err := Compare(ns, want); err != nil || len(wrong) != 0 {
				t.Errorf("after mending: %q, %v", wrong, err)
			}
		})
	}
}

func TestCompareSeesOneRuleDeleted(t *testing.T) {
	ns, path := namespace(t)
	want := ruleset(t, some())
	if err := Install(ns, want); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(nft(t, path, "-a list chain inet blast out"), "\n") {
		if strings.Contains(line, "refuse the rest") {
			_, handle, _ := strings.Cut(line, "# handle ")
			nft(t, path, "delete rule inet blast out handle "+handle)
		}
	}
	wrong, err := Compare(ns, want)
	if err != nil || len(wrong) != 1 || wrong[0] != `rule "refuse the rest" is missing in chain out` {
		t.Errorf("%q, %v", wrong, err)
	}
}

// nft runs the system's own nft(8) in the namespace.
func nft(t *testing.T, path, script string) string {
	t.Helper()
	args := []string{"--net=" + path, "nft", script}
	if strings.HasPrefix(script, "-a ") {
		args = []string{"--net=" + path, "nft", "-a", script[3:]}
	}
	out, err := exec.Command("nsenter", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", script, err, out)
	}
	return string(out)
}
