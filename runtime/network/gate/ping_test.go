package gate

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
)

func pingRule(cidrs ...string) network.Egress {
	return network.Egress{Name: "ping", CIDRs: cidrs, Protocol: "icmp"}
}

// ping sends one echo request from inside, as a command without rights would, and
// returns the payload that comes back.
func (s *sandbox) ping(to, payload string) (string, error) {
	s.Helper()
	dst := netip.MustParseAddr(to)
	name, proto, kind := "udp4", 1, icmp.Type(ipv4.ICMPTypeEcho)
	if dst.Is6() {
		name, proto, kind = "udp6", 58, ipv6.ICMPTypeEchoRequest
	}
	var c *icmp.PacketConn
	if err := s.inside(func() (err error) { c, err = icmp.ListenPacket(name, ""); return err }); err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: 1, Seq: 7, Data: []byte(payload)}}).Marshal(nil)
	if err != nil {
		return "", err
	}
	if _, err := c.WriteTo(b, &net.UDPAddr{IP: dst.AsSlice()}); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	buf := make([]byte, 2000)
	n, from, err := c.ReadFrom(buf)
	if err != nil {
		return "", err
	}
	if host, _, _ := net.SplitHostPort(from.String()); host != to {
		s.Errorf("answer from %s, not %s", host, to)
	}
	m, err := icmp.ParseMessage(proto, buf[:n])
	if err != nil {
		return "", err
	}
	return string(m.Body.(*icmp.Echo).Data), nil
}

func TestPing(t *testing.T) {
	s := up(t, pingRule("93.184.215.0/24", "2606:2800::/32"))
	for _, to := range []string{web, six} {
		for _, size := range []int{0, 56, 1400} {
			text := strings.Repeat("x", size)
			if got, err := s.ping(to, text); err != nil || got != text {
				t.Errorf("ping %s with %d bytes: %d bytes back, %v", to, size, len(got), err)
			}
		}
	}
	if n := len(recorded(s)); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

func TestPingIsRefused(t *testing.T) {
	s := up(t, pingRule(second+"/32"))
	if _, err := s.ping(six, "data"); err == nil { // sendmsg(2) doesn't tell of it there: ping_v6_sendmsg in the kernel
		t.Errorf("ping %s is answered", six)
	}
	s.denials(func(d denial.Denial) bool { return d.Addr == six && d.Protocol == "icmp" })
	for _, to := range []string{web, metadata, "192.0.2.2", "198.18.0.1"} {
		err := atOnce(t, "ping "+to, func() error { _, err := s.ping(to, "data"); return err })
		if err == nil || !strings.Contains(err.Error(), unix.EPERM.Error()) {
			t.Errorf("ping %s: %v", to, err)
		}
		s.denials(func(d denial.Denial) bool { return d.Addr == to && d.Protocol == "icmp" })
	}
	if _, err := s.ping(second, strings.Repeat("x", 1600)); err == nil {
		t.Error("a request of 1600 bytes is answered")
	}
}

// Without a rule nobody may even make the socket, and a live change opens and closes it.
func TestPingFollowsThePolicy(t *testing.T) {
	s := up(t)
	if _, err := s.ping(web, ""); err == nil || !strings.Contains(err.Error(), unix.EACCES.Error()) {
		t.Errorf("without a rule: %v", err)
	}
	open := policyOf(pingRule(web + "/32"))
	s.policy(open)
	if _, err := s.ping(web, "a"); err != nil {
		t.Errorf("with a rule: %v", err)
	}
	s.nsenter("sysctl", "-qw", "net.ipv4.ping_group_range=1 0")
	if o := s.observe()[network.PolicyAddr]; !strings.Contains(o, "ping_group_range") {
		t.Errorf("a closed ping_group_range is no drift: %s", o)
	}
	s.policy(open)
	if _, err := s.ping(web, "b"); err != nil {
		t.Errorf("after the drift is mended: %v", err)
	}
	s.apply(plan.Change{Addr: network.PolicyAddr, From: attrs(open), To: attrs(policyOf())})
	if _, err := s.ping(web, ""); err == nil {
		t.Error("after the rule is gone: answered")
	}
}

// More than the filter lets through in a second is refused at once, and said so.
func TestPingFlood(t *testing.T) {
	s := up(t, pingRule(web+"/32"))
	var c *icmp.PacketConn
	if err := s.inside(func() (err error) { c, err = icmp.ListenPacket("udp4", ""); return err }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{Seq: 1}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range 1000 {
		if _, err := c.WriteTo(b, &net.UDPAddr{IP: net.ParseIP(web)}); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("a thousand at once are let through")
	}
	s.denials(func(d denial.Denial) bool { return d.Rule == "ping" && strings.Contains(d.Reason, "a second") })
}
