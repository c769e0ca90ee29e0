package gate

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
)

// TestTrackingForgetsWhatIsOver: connection tracking has one tuple for each source port
// at the relay. Those of connections that are over are free again soon, or there would be
// none left, at some hundred connections a second.
func TestTrackingForgetsWhatIsOver(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	known := func() (n int) { // a list: the count has those that are over and not yet swept up
		err := s.inside(func() error {
			flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
			n = len(flows)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const n = 50
	for range n {
		c, err := s.dial("tcp", web+":7")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, "x"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if now := known(); now == 0 {
		t.Fatal("nothing is tracked")
	}
	for end := time.Now().Add(10 * time.Second); known() > n/10; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are known still, of %d that are over", known(), n)
		}
	}
}

// TestPortsAreFreeAgain: a client that makes many connections to one server doesn't run
// out of ports for a minute.
func TestPortsAreFreeAgain(t *testing.T) {
	s := up(t, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	s.nsenter("sh", "-c", "echo 40000 40031 > /proc/sys/net/ipv4/ip_local_port_range")
	for round := range 3 {
		for i := range 30 {
			c, err := s.dial("tcp", web+":7")
			if err != nil {
				t.Fatalf("round %d, connection %d: %v", round, i, err)
			}
			if err := echoes(c, "x"); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		time.Sleep(1200 * time.Millisecond) // for a timestamp that is another
	}
}
