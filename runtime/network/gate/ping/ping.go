// Package ping carries the echo requests of a sandbox to the host's network, and the
// answers back. Nothing else of ICMP goes either way (RFC 792, RFC 4443).
//
// The packet filter copies an allowed request to this process (NFLOG) and lets it go
// where nothing is: the sandbox's namespace has no way out. What leaves the host is
// written anew, from the address, the payload and numbers of the relay's own.
package ping

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/net/icmp"
	"golang.org/x/time/rate"

	"blast.example/blast/runtime/network/gate/nft"
)

// Bounds of one sandbox.
const (
	maxOpen = 1024             // that wait for an answer
	waitFor = 10 * time.Second // for an answer
)

// Allow is asked about each request, after the packet filter.
type Allow func(src, dst netip.Addr) bool

// A Relay serves one sandbox.
type Relay struct {
	allow Allow
	limit *rate.Limiter
	in    *inside
	out   []*outside
	stop  func()

	mu   sync.Mutex
	open map[asked]request
	wg   sync.WaitGroup
}

// asked is a request as the world sees it.
type asked struct {
	dst     netip.Addr
	id, seq uint16
}

// request is one as the sandbox sent it.
type request struct {
	src     netip.Addr
	id, seq uint16
	at      time.Time
}

// Start relays until Close is called.
func Start(ns *os.File, allow Allow) (_ *Relay, err error) {
	r := &Relay{allow: allow, limit: rate.NewLimiter(nft.PingsPerSecond, nft.PingsPerSecond), open: map[asked]request{}}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.in, err = openInside(ns); err != nil {
		return nil, err
	}
	for _, f := range families() {
		o, err := f.listen()
		if err != nil {
			return nil, err
		}
		r.out = append(r.out, o)
		r.wg.Go(func() { r.answers(o) })
	}
	return r, r.listen(ns)
}

// listen hears of the requests that the packet filter lets go.
func (r *Relay) listen(ns *os.File) error {
	nf, err := nflog.Open(&nflog.Config{Group: nft.PingGroup, NetNS: int(ns.Fd()), Copymode: nflog.CopyPacket, Bufsize: nft.PingBytes})
	if err != nil {
		return fmt.Errorf("open nflog: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hear := func(a nflog.Attribute) int {
		if a.Payload != nil {
			r.send(*a.Payload)
		}
		return 0
	}
	if err := nf.RegisterWithErrorFunc(ctx, hear, func(error) int { return 0 }); err != nil {
		cancel()
		return errors.Join(fmt.Errorf("listen to nflog: %w", err), nf.Close())
	}
	r.stop = func() {
		cancel() // first: Close waits for the reader, which only this ends
		_ = nf.Close()
	}
	return nil
}

// Close ends the relay.
func (r *Relay) Close() {
	if r.stop != nil {
		r.stop()
	}
	for _, o := range r.out {
		_ = o.conn.Close()
	}
	r.wg.Wait()
	if r.in != nil {
		r.in.close()
	}
}

// send sends a request on, if it is one, is allowed, and there are not too many.
func (r *Relay) send(packet []byte) {
	e, ok := parse(packet)
	if !ok || !r.limit.Allow() || !r.allow(e.src, e.dst) {
		return
	}
	for _, o := range r.out {
		if o.is4 != e.dst.Is4() {
			continue
		}
		k, ok := r.remember(e)
		if !ok {
			return
		}
		m := icmp.Message{Type: o.request, Body: &icmp.Echo{ID: int(k.id), Seq: int(k.seq), Data: e.data}}
		if b, err := m.Marshal(nil); err == nil { // the kernel makes the checksum of ICMPv6
			_, _ = o.conn.WriteTo(b, &net.IPAddr{IP: e.dst.AsSlice()}) // a packet may be lost
		}
	}
}

// answers brings answers back until the socket is closed.
func (r *Relay) answers(o *outside) {
	buf := make([]byte, nft.PingBytes)
	for {
		n, from, err := o.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		addr, ok := from.(*net.IPAddr)
		if err != nil || !ok {
			continue
		}
		src, ok := netip.AddrFromSlice(addr.IP)
		m, err := icmp.ParseMessage(o.protocol, buf[:n])
		if err != nil || !ok || m.Type != o.reply {
			continue
		}
		body, ok := m.Body.(*icmp.Echo)
		if !ok {
			continue
		}
		src = src.Unmap()
		if q, ok := r.recall(asked{src, uint16(body.ID), uint16(body.Seq)}); ok && r.allow(q.src, src) {
			r.in.reply(echo{src: src, dst: q.src, id: q.id, seq: q.seq, data: body.Data})
		}
	}
}
