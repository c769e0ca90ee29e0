package ledger

import (
	"io"
	"net"
	"testing"

	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// pair is a connection, as who made it has it and as it was accepted.
func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if server, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// TestKernelCountsPayload, and neither SYN nor FIN, however the connection ends.
func TestKernelCountsPayload(t *testing.T) {
	l := open(t, t.TempDir())
	for _, way := range []string{traffic.Out, traffic.In} {
		for how, end := range map[string]func(client, server *net.TCPConn) (fin bool){
			"open": func(_, _ *net.TCPConn) bool { return false },
			"client first": func(c, s *net.TCPConn) bool {
				_ = c.CloseWrite()
				_, _ = io.ReadAll(s)
				_ = s.CloseWrite()
				_, _ = io.ReadAll(c)
				return true
			},
			"server first": func(c, s *net.TCPConn) bool {
				_ = s.CloseWrite()
				_, _ = io.ReadAll(c)
				_ = c.CloseWrite()
				_, _ = io.ReadAll(s)
				return true
			},
			"half": func(c, s *net.TCPConn) bool { // the state tells of the FIN
				_ = c.CloseWrite()
				_, _ = io.ReadAll(s)
				return false
			},
			"reset": func(c, s *net.TCPConn) bool {
				_ = c.SetLinger(0)
				_ = c.Close()
				_, _ = io.ReadAll(s)
				return false
			},
		} {
			c, s := pair(t)
			e := l.Begin(traffic.Connection{Way: way}, who.Socket{}, s)
			send := func(from, to *net.TCPConn, n int) {
				if _, err := from.Write(make([]byte, n)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
					t.Fatal(err)
				}
			}
			send(c, s, 3000)
			send(s, c, 700)
			send(c, s, 1) // it comes with what acknowledges the rest
			fin := end(c, s)
			e.now() // somebody looks, before it is known how it ended
			if fin {
				e.Fin()
			}
			e.Measure()
			got, _ := e.now()
			sent, received := got.Sent, got.Received
			if way == traffic.In {
				sent, received = received, sent
			}
			if sent != 3001 || received != 700 {
				t.Errorf("%s, %s: %d and %d bytes", way, how, sent, received)
			}
		}
	}
}
