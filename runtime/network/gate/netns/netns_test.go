package netns

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func plumbed(t *testing.T) (*os.File, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	path := filepath.Join(t.TempDir(), "net")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unpin(path); err != nil {
			t.Error(err)
		}
	})
	ns, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	for range 2 { // twice is once
		if err := Plumb(ns); err != nil {
			t.Fatal(err)
		}
	}
	return ns, path
}

func TestPlumbedIsWhole(t *testing.T) {
	ns, _ := plumbed(t)
	wrong, err := Inspect(ns)
	if err != nil || len(wrong) != 0 {
		t.Errorf("%q, %v", wrong, err)
	}
}

func TestInspectSeesTampering(t *testing.T) {
	for _, c := range []struct{ ip, want string }{
		{"route del default", "route 0.0.0.0/0 dev 1 is missing"},
		{"route del prohibit 198.19.0.0/16", "route prohibit 198.19.0.0/16 is missing"},
		{"-6 route del default", "route ::/0 dev 1 is missing"},
		{"route add prohibit 198.18.0.0/16", "unexpected route prohibit 198.18.0.0/16"},
		{"route add 192.0.2.0/24 dev lo table 7", "unexpected route 192.0.2.0/24 dev 1 table 7"},
		{"route add local 192.0.2.0/24 dev lo", "unexpected route 192.0.2.0/24 dev 1 table 255"},
		{"route add local 198.19.0.0/16 dev lo table local", "unexpected route 198.19.0.0/16 dev 1 table 255"},
		{"-6 route add local 2001:db8::/32 dev lo table local", "unexpected route 2001:db8::/32 dev 1 table 255"},
		{"addr del 10.0.2.100/32 dev lo", "address 10.0.2.100/32 is missing"},
		{"addr add 192.0.2.1/32 dev lo", "unexpected address 192.0.2.1/32"},
		{"rule add to 192.0.2.0/24 table 7", "unexpected routing rule 779 to 192.0.2.0/24 table 7"},
		{"-6 rule add to 2001:db8::/32 table 7", "unexpected routing rule 32765 to 2001:db8::/32 family 10 table 7"},
		{"rule del pref 780", "routing rule 780 to 198.19.0.0/16 proto 6 dport"},
		{"rule add pref 780 to 198.19.0.0/16 ipproto tcp dport 80 iif lo table 780", "unexpected routing rule 780"},
		{"route del 198.19.0.0/16 table 780", "route 198.19.0.0/16 dev 1 table 780 is missing"},
		{"rule add pref 0 to 198.19.0.0/16 table 780", "unexpected routing rule 0 to 198.19.0.0/16 table 780"},
		{"rule add pref 0 blackhole", "unexpected routing rule 0 table 0 blackhole"},
		{"rule add pref 32766 to 198.19.0.0/16 table 780", "unexpected routing rule 32766 to 198.19.0.0/16 table 780"},
		{"-6 rule add pref 32767 table 7", "unexpected routing rule 32767 family 10 table 7"},
		{"rule del pref 0", "routing rule 0 table 255 is missing"},
		{"rule del pref 32766", "routing rule 32766 table 254 is missing"},
		{"-6 rule del pref 32766", "routing rule 32766 family 10 table 254 is missing"},
		{"rule add pref 9 table main suppress_prefixlength 0", "unexpected routing rule 9 suppress prefix 0 table 254"},
		{"rule add pref 9 table main suppress_ifgroup 0", "unexpected routing rule 9 suppress group 0 table 254"},
		{"rule add pref 9 fwmark 0/0x1 table main", "unexpected routing rule 9 mark 0/0x1 table 254"},
		{"link set lo down", "lo is down"},
		{"link add veth0 up type veth peer name veth1", "unexpected interface veth0 is up"},
	} {
		t.Run(c.ip, func(t *testing.T) {
			ns, path := plumbed(t)
			out, err := exec.Command("nsenter", append([]string{"--net=" + path, "ip"}, strings.Fields(c.ip)...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			wrong, err := Inspect(ns)
			if err != nil || !strings.Contains(strings.Join(wrong, "\n"), c.want) {
				t.Errorf("got %q, %v; want %q", wrong, err, c.want)
			}
			if err := Plumb(ns); err != nil {
				t.Fatal(err)
			}
			wrong, err = Inspect(ns)
			if err != nil || len(wrong) != 0 {
				t.Errorf("after mending: %q, %v", wrong, err)
			}
		})
	}
}

// A rule that takes the place of one of the kernel's own, and does something else, is
// another one.
func TestInspectSeesTheKernelsRulesReplaced(t *testing.T) {
	for _, c := range []struct{ del, add, want string }{
		{"rule del pref 0", "rule add pref 0 table 7", "unexpected routing rule 0 table 7"},
		{"rule del pref 32766", "rule add pref 32766 table 780", "unexpected routing rule 32766 table 780"},
		{"rule del pref 32766", "rule add pref 32766 table main type blackhole", "unexpected routing rule 32766 table 254 blackhole"},
		{"rule del pref 32766", "rule add pref 32766 table main dsfield 0x10", "unexpected routing rule 32766 tos 16 table 254"},
		{"rule del pref 32767", "rule add pref 32767 prohibit", "unexpected routing rule 32767 table 0 prohibit"},
		{"-6 rule del pref 0", "-6 rule add pref 0 unreachable", "unexpected routing rule 0 family 10 table 0 unreachable"},
		{"rule del pref 780", "rule add pref 780 to 198.19.0.0/16 ipproto tcp dport 80 table 780 type blackhole", "table 780 blackhole"},
	} {
		t.Run(c.add, func(t *testing.T) {
			ns, path := plumbed(t)
			for _, ip := range []string{c.del, c.add} {
				if out, err := exec.Command("nsenter", append([]string{"--net=" + path, "ip"}, strings.Fields(ip)...)...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			wrong, err := Inspect(ns)
			if text := strings.Join(wrong, "\n"); err != nil || !strings.Contains(text, c.want) || !strings.Contains(text, "is missing") {
				t.Errorf("got %q, %v; want %q", wrong, err, c.want)
			}
			if err := Plumb(ns); err != nil {
				t.Fatal(err)
			}
			if wrong, err = Inspect(ns); err != nil || len(wrong) != 0 {
				t.Errorf("after mending: %q, %v", wrong, err)
			}
		})
	}
}

func TestInspectSeesSysctl(t *testing.T) {
	ns, _ := plumbed(t)
	if err := Do(ns, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0) }); err != nil {
		t.Fatal(err)
	}
	wrong, err := Inspect(ns)
	if err != nil || len(wrong) != 1 {
		t.Errorf("%q, %v", wrong, err)
	}
}

func TestRefusedRangeIsEACCES(t *testing.T) {
	ns, _ := plumbed(t)
	start := time.Now()
	err := Do(ns, func() error {
		_, err := net.Dial("tcp4", "198.19.3.4:443")
		return err
	})
	if !errors.Is(err, unix.EACCES) || time.Since(start) > time.Second {
		t.Errorf("%v after %v; want permission denied at once", err, time.Since(start))
	}
}

// What can be said in words at port 80 of TCP is heard; without the rule it is EACCES as
// at any other port.
func TestRefusedRangeAtPort80(t *testing.T) {
	ns, path := plumbed(t)
	try := func(network, addr string) (err error) {
		_ = Do(ns, func() error {
			var c net.Conn
			if c, err = net.Dial(network, addr); err == nil {
				_ = c.Close()
			}
			return nil
		})
		return err
	}
	for addr, network := range map[string]string{"198.19.3.4:80": "udp4", "198.19.3.4:81": "tcp4", "198.19.3.4:443": "tcp4", "198.19.255.255:8080": "tcp4"} {
		if err := try(network, addr); !errors.Is(err, unix.EACCES) {
			t.Errorf("%s %s: %v", network, addr, err)
		}
	}
	if out, err := exec.Command("nsenter", "--net="+path, "ip", "rule", "del", "pref", "780").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := try("tcp4", "198.19.3.4:80"); !errors.Is(err, unix.EACCES) {
		t.Errorf("without the rule: %v", err)
	}
}

func TestMoveKeepsNamespace(t *testing.T) {
	ns, path := plumbed(t)
	before, _ := ID(ns)
	if err := Move(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Unpin(path + ".old") }()
	if _, err := Open(path); !errors.Is(err, ErrNone) {
		t.Errorf("still there: %v", err)
	}
	moved, err := Open(path + ".old")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = moved.Close() }()
	if after, _ := ID(moved); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestOpenWantsNamespace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net")
	if _, err := Open(path); !errors.Is(err, ErrNone) {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrNone) {
		t.Errorf("plain file: %v", err)
	}
	if _, err := Open("/proc/self/ns/uts"); !errors.Is(err, ErrNone) {
		t.Errorf("another kind of namespace: %v", err)
	}
}

// Nothing is done in the thread's own namespace in the place of one that is closed.
func TestClosedNamespaceIsNotEntered(t *testing.T) {
	ns, _ := plumbed(t)
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Do(ns, func() error { return nil }); err == nil {
		t.Error("done nevertheless")
	}
}
