package nameserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds: a sandbox decides how much it asks.
const (
	maxPacket   = 4096             // bytes of a query
	perSecond   = 5000             // queries: two for each of as many connections as may come
	atOnce      = 64               // queries being answered, and TCP connections
	tcpIdle     = 10 * time.Second // RFC 7766 section 6.2.3
	tcpPerConn  = 256              // queries
	writeWithin = 2 * time.Second
	acceptAgain = 20 * time.Millisecond
)

// A Server answers on sockets that were made in a sandbox's namespace. It may be
// closed at any time.
type Server struct {
	book    Book
	limit   *rate.Limiter
	queries chan struct{} // a place for each being answered
	conns   chan struct{} // a place for each TCP connection

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
	wg     sync.WaitGroup
}

// New returns a server that knows what book knows.
func New(book Book) *Server {
	return &Server{
		book: book, limit: rate.NewLimiter(perSecond, perSecond),
		queries: make(chan struct{}, atOnce), conns: make(chan struct{}, atOnce),
		open: map[io.Closer]struct{}{},
	}
}

// ServeUDP answers on c until the server is closed.
func (s *Server) ServeUDP(c *net.UDPConn) { s.start(c, func() { s.readUDP(c) }) }

// ServeTCP answers on l until the server is closed.
func (s *Server) ServeTCP(l *net.TCPListener) { s.start(l, func() { s.acceptTCP(l) }) }

// Close ends all work and waits for that.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// start runs f, which ends when c is closed.
func (s *Server) start(c io.Closer, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return
	}
	s.open[c] = struct{}{}
	s.wg.Go(func() {
		f()
		_ = c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	})
}

func (s *Server) readUDP(c *net.UDPConn) {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > maxPacket || !s.limit.Allow() {
			continue // an ICMP error, or more than there is time for
		}
		packet := append([]byte(nil), buf[:n]...)
		// More wait in the kernel: who is not answered asks again only after seconds.
		s.queries <- struct{}{}
		s.wg.Go(func() {
			defer func() { <-s.queries }()
			if r := answer(s.book, packet, client("udp", from)); r != nil {
				_, _ = c.WriteToUDPAddrPort(r, from) // it asks again if this is lost
			}
		})
	}
}

func (s *Server) acceptTCP(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, until somebody gives some back
			<-time.After(acceptAgain)
			continue
		}
		select {
		case s.conns <- struct{}{}:
			s.start(c, func() {
				defer func() { <-s.conns }()
				s.converse(c)
			})
		default:
			_ = c.Close()
		}
	}
}

// converse answers the queries of one connection in turn.
func (s *Server) converse(c *net.TCPConn) {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	from := client("tcp", addr.AddrPort())
	for range tcpPerConn {
		_ = c.SetReadDeadline(time.Now().Add(tcpIdle))
		packet, err := readFrame(c)
		if err != nil || !s.limit.Allow() {
			return
		}
		r := answer(s.book, packet, from)
		if r == nil || len(r) > 0xffff {
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...)); err != nil {
			return
		}
	}
}

// readFrame reads one message with its length before it; RFC 1035 section 4.2.2.
func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxPacket {
		return nil, errors.New("query is too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func client(proto string, a netip.AddrPort) Client {
	return Client{proto, netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}
