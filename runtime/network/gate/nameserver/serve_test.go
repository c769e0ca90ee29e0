package nameserver

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// slowBook answers when it is let.
type slowBook struct{ let chan struct{} }

func (b slowBook) Address(string, string, Client) (Answer, error) {
	<-b.let
	return Answer{Addr: netip.MustParseAddr("198.18.1.2")}, nil
}
func (slowBook) Odd(string, Client)             {}
func (slowBook) Name(netip.Addr) (string, bool) { return "", false }

// TestWhoWaitsIsAnswered: more questions at once than are answered at the same time wait;
// who gets no answer asks again after 5 seconds only.
func TestWhoWaitsIsAnswered(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	s := New(slowBook{let})
	s.ServeUDP(c)
	defer s.Close()
	var all sync.WaitGroup
	answers := make(chan error, 2*atOnce)
	for range cap(answers) {
		q, err := net.Dial("udp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = q.Close() }()
		d := &dns.Conn{Conn: q}
		if err := d.WriteMsg(question("example.com.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			_ = q.SetReadDeadline(time.Now().Add(4 * time.Second))
			_, err := d.ReadMsg()
			answers <- err
		})
	}
	time.Sleep(100 * time.Millisecond) // for what is not kept to be dropped
	close(let)
	all.Wait()
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}
