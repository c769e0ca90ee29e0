package nft

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/traffic"
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

// TestCompareSeesACounterTaken: the rule is the same, and counts no more; one that
// counts on is no drift.
func TestCompareSeesACounterTaken(t *testing.T) {
	ns, path := namespace(t)
	want := ruleset(t, some())
	if err := Install(ns, want); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(nft(t, path, "-a list chain inet blast out"), "\n") {
		if !strings.Contains(line, "refuse the rest") {
			continue
		}
		rule, handle, _ := strings.Cut(strings.TrimSpace(line), "# handle ")
		moved := strings.Replace(rule, "counter packets 0 bytes 0", "counter packets 7 bytes 700", 1)
		nft(t, path, "replace rule inet blast out handle "+handle+" "+moved)
		if wrong, err := Compare(ns, want); err != nil || len(wrong) != 0 {
			t.Errorf("a counter that moved: %q, %v", wrong, err)
		}
		if n := noted(t, ns, want, "refuse the rest"); n.Packets != 7 || n.Bytes != 700 || !n.Refuses {
			t.Errorf("%+v", n)
		}
		nft(t, path, "replace rule inet blast out handle "+handle+" "+strings.Replace(rule, "counter packets 0 bytes 0", "", 1))
	}
	if wrong, err := Compare(ns, want); err != nil || !strings.Contains(strings.Join(wrong, "\n"), `rule "refuse the rest" is missing in chain out`) {
		t.Errorf("%q, %v", wrong, err)
	}
}

// TestCountersGoOn over another ruleset, each at the rule that it was of.
func TestCountersGoOn(t *testing.T) {
	ns, path := namespace(t)
	if err := Install(ns, ruleset(t, some())); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(nft(t, path, "-a list chain inet blast out"), "\n") {
		rule, handle, _ := strings.Cut(strings.TrimSpace(line), "# handle ")
		if strings.Contains(rule, "counter packets 0") {
			nft(t, path, fmt.Sprintf("replace rule inet blast out handle %s %s", handle, strings.Replace(rule, "counter packets 0", fmt.Sprintf("counter packets %d", 100+i), 1)))
		}
	}
	before, err := Count(ns, ruleset(t, some()))
	if err != nil || len(before) < 5 {
		t.Fatalf("%+v, %v", before, err)
	}
	more := some()
	more.Egress = append([]network.Egress{{Name: "new", CIDRs: []string{"203.0.113.0/24"}, Ports: []uint16{9}, Protocol: "udp", During: []string{"run"}}}, more.Egress...)
	want := ruleset(t, more)
	for range 2 {
		if err := Install(ns, want); err != nil {
			t.Fatal(err)
		}
	}
	after, err := Count(ns, want)
	if err != nil {
		t.Fatal(err)
	}
	was, is := packets(before), packets(after)
	for note, n := range was { // nft(8) writes some rules in another way than it was told: these are not among them
		if is[note] != n {
			t.Errorf("%s: %d became %d", note, n, is[note])
		}
	}
	if n := noted(t, ns, want, "egress new 203.0.113.0/24"); n.Packets != 0 || n.Rule != "new" {
		t.Errorf("%+v", n)
	}
}

func packets(cs []traffic.Counter) map[string]uint64 {
	m := map[string]uint64{}
	for _, c := range cs {
		m[c.Note] += c.Packets
	}
	return m
}

func noted(t *testing.T, ns *os.File, want Ruleset, note string) traffic.Counter {
	t.Helper()
	all, err := Count(ns, want)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Note == note {
			return c
		}
	}
	t.Fatalf("no %q among %+v", note, all)
	return traffic.Counter{}
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
