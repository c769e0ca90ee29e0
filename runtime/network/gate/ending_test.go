package gate

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// knock connects to an address of the other environment until stop is closed, from
// some goroutines at once. Connections that are refused or cut are as good.
func (s *sandbox) knock(at string, stop chan struct{}) (done *sync.WaitGroup) {
	done = &sync.WaitGroup{}
	for range 8 {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var c net.Conn
				if err := s.inside(func() (err error) {
					c, err = net.DialTimeout("tcp", at, time.Second)
					return err
				}); err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Second))
				_, _ = io.WriteString(c, "x")
				_, _ = c.Read(make([]byte, 1))
				_ = c.Close()
			}
		})
	}
	return done
}

// Whoever connects to another environment asks the host for it. Who ends the gate waits
// for these connections: neither may wait for the other.
func TestGateEndsWhileOthersAreEntered(t *testing.T) {
	s := up(t, backendRule())
	b := s.neighbour("backend", backend("default"))
	b.serveInside(8000)
	at := net.JoinHostPort(s.lookup("backend.blast.internal"), "8000")
	ended := func(of *sandbox) {
		t.Helper()
		done := make(chan struct{})
		go func() { of.host.end(of.env); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("the gate of %q does not end", of.env.Name)
		}
	}
	for range 25 {
		stop := make(chan struct{})
		knocking := s.knock(at, stop)
		time.Sleep(10 * time.Millisecond)
		ended(s)
		ended(b)
		close(stop)
		knocking.Wait()
		b.policy(backend("default"))
		s.policy(policyOf(backendRule()))
	}
}

// A gate that takes long to end holds up nobody who connects to a third one.
func TestEnteringWaitsForNoEnd(t *testing.T) {
	s := up(t, backendRule())
	b := s.neighbour("backend", backend("default"))
	b.serveInside(8000)
	s.host.turn.Lock() // as who ends one does
	defer s.host.turn.Unlock()
	_ = atOnce(t, "entering", func() error {
		c, err := s.connect("backend.blast.internal", "8000")
		if err != nil {
			t.Fatal(err)
		}
		return echoes(c, "x")
	})
}
