package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// udpIdle ends a UDP flow. It is shorter than the kernel remembers the flow
// (see netns), so a source port always means the same to both.
const udpIdle = 60 * time.Second

// udpFlow is one source of packets to one destination.
type udpFlow struct {
	*flow
	up   *net.UDPConn
	raw  syscall.RawConn // of up
	used atomic.Int64    // when a packet went either way, in ns

	out, in lane
}

// ServeUDP relays the packets that were redirected to c until the relay is
// closed. The kernel gives each pair of source and destination a source of its
// own at c and turns the answers back, so the process sees them come from where
// it sent to.
func (r *Relay) ServeUDP(c *net.UDPConn) error {
	track, err := openTracker(r.ns)
	if err != nil {
		return err
	}
	u := &udpRelay{Relay: r, sock: c, track: track, flows: map[netip.AddrPort]*udpFlow{}, over: make(chan netip.AddrPort)}
	r.start(c, func() {
		u.run()
		track.Close()
	})
	return nil
}

// datagrams are buffers for what is received. A flow that is silent has none.
var datagrams = sync.Pool{New: func() any { return new(datagramBuffer) }}

type datagramBuffer [65536]byte

// receive waits for a datagram and puts it into a buffer that it takes then; who calls
// puts that back. Without one there is an error.
func receive(raw syscall.RawConn) (buf *datagramBuffer, n int, err error) {
	var got error
	err = raw.Read(func(fd uintptr) bool {
		b, _ := datagrams.Get().(*datagramBuffer)
		for {
			n, got = unix.Read(int(fd), b[:])
			if !errors.Is(got, unix.EINTR) {
				break
			}
		}
		if got == nil {
			buf = b
			return true
		}
		datagrams.Put(b)
		return !errors.Is(got, unix.EAGAIN)
	})
	if err == nil {
		err = got
	}
	return buf, n, err
}

type udpRelay struct {
	*Relay
	sock  *net.UDPConn
	track tracker
	flows map[netip.AddrPort]*udpFlow // by source; only run uses it
	over  chan netip.AddrPort         // flows that ended
	held  atomic.Int64                // bytes that wait in all lanes
}

type udpPacket struct {
	from netip.AddrPort
	data []byte
}

// run hands each packet to its flow. Flows come and go in this goroutine only.
func (u *udpRelay) run() {
	packets := make(chan udpPacket)
	go u.read(packets)
	for {
		select {
		case p, ok := <-packets:
			if !ok {
				u.drain()
				return
			}
			u.forward(p)
		case from := <-u.over:
			delete(u.flows, from)
		}
	}
}

func (u *udpRelay) read(out chan<- udpPacket) {
	defer close(out)
	buf := make([]byte, 65536)
	for {
		n, from, err := u.sock.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			out <- udpPacket{from, append([]byte(nil), buf[:n]...)}
		}
	}
}

// drain waits for the flows to end after the relay was closed.
func (u *udpRelay) drain() {
	for _, f := range u.flows {
		f.cut(traffic.WithDaemon, "")
	}
	for len(u.flows) > 0 {
		delete(u.flows, <-u.over)
	}
}

func (u *udpRelay) forward(p udpPacket) {
	f := u.flows[p.from]
	if f == nil {
		if f = u.open(p.from); f == nil {
			return
		}
	}
	f.used.Store(time.Now().UnixNano())
	f.out.put(p.data)
}

// lanes make the two ways of a flow.
func (u *udpRelay) lanes(f *udpFlow, from netip.AddrPort, s who.Socket) {
	over := func(err error) {
		u.limited(f.to, err, s)
		f.cut(traffic.ByLimit, err.Error())
	}
	entry := f.noted()
	send := func(b []byte) {
		_, _ = f.up.Write(b) // UDP may be lost
		entry.Count(len(b), 0)
	}
	back := func(b []byte) {
		_, _ = u.sock.WriteToUDPAddrPort(b, from)
		entry.Count(0, len(b))
	}
	f.out = lane{flow: f.flow, way: meter.Egress, send: send, over: over, all: &u.held}
	f.in = lane{flow: f.flow, way: meter.Ingress, send: back, over: over, all: &u.held}
}

// open starts a flow for a new source, if the rules allow it.
func (u *udpRelay) open(from netip.AddrPort) *udpFlow {
	src, dst, err := u.track.udpDestination(from)
	if err != nil || !dst.IsValid() || dst.Addr().IsLoopback() {
		return nil
	}
	to := target{proto: "udp", addr: dst}
	s := who.Socket{Proto: "udp", Local: src, Remote: dst}
	fl, policy, err := u.begin(to)
	if err != nil {
		u.limited(to, err, s)
		return nil
	}
	f := &udpFlow{flow: fl}
	if _, ok := u.admit(fl, policy, s, nil); !ok {
		u.end(fl)
		return nil
	}
	f.up, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(dst))
	if err == nil {
		f.raw, err = f.up.SyscallConn()
	}
	if err != nil || !fl.hold(f.up) {
		fl.endedBy(traffic.Unreachable, "")
		u.forget(fl)
		u.wg.Go(fl.note)
		return nil
	}
	fl.noted().Led(dst)
	u.lanes(f, from, s)
	u.flows[from] = f
	u.wg.Go(func() { u.answers(f, from) })
	return f
}

// answers sends back what comes from the destination until the flow is idle or cut.
func (u *udpRelay) answers(f *udpFlow, from netip.AddrPort) {
	for {
		_ = f.up.SetReadDeadline(time.Now().Add(udpIdle))
		buf, n, err := receive(f.raw)
		switch {
		case err == nil:
			f.used.Store(time.Now().UnixNano())
			f.in.put(buf[:n])
			datagrams.Put(buf)
		case errors.Is(err, unix.ECONNREFUSED): // nobody listens there now; the process asks again or gives up
		case isTimeout(err) && time.Since(time.Unix(0, f.used.Load())) < udpIdle: // it only sends
		default:
			f.endedBy(traffic.TimedOut, fmt.Sprintf("nothing went through for %s", udpIdle))
			_ = f.up.Close()
			f.cancel()
			f.out.close()
			f.in.close()
			u.forget(f.flow)
			u.over <- from
			f.note() // last, as it may wait
			return
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
