package gate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// tell records a refusal with the process that is behind the socket, and returns it so.
func (g *gate) tell(d denial.Denial, s who.Socket) denial.Denial {
	if p, ok := g.find(d.Op, s); ok {
		d.PID, d.HostPID, d.Command, d.Script = p.PID, p.HostPID, p.Command, p.Script
		if p.UID != nil { // else what the packet filter said
			d.UID = p.UID
		}
		d.Where, _ = g.claims.Where(p.HostPID, d.Host, s.Remote)
		if d.Op == denial.Resolve {
			d.Meant = g.claims.Port(p.HostPID, d.Host)
		}
	}
	if !d.Allowed {
		g.book.Refused(traffic.KeyOfDenial(d))
	}
	if err := g.denied.Add(d); err != nil {
		g.log.Error("record denial", "env", g.env.ID, "err", err)
	}
	return d
}

// find looks for the process.
func (g *gate) find(op string, s who.Socket) (who.Process, bool) {
	if op == denial.Visit {
		return who.Process{}, false // it isn't in the sandbox
	}
	p, err := g.who.Find(s)
	if !errors.Is(err, who.ErrGone) || op != denial.Connect {
		return p, err == nil
	}
	if pid := g.claims.Claimant(s.Remote); pid != 0 { // its own word, but its own number, too
		return g.who.Describe(pid), true
	}
	return g.who.Only()
}

// watchFilter records what the packet filter refuses, until the returned
// function is called.
func (g *gate) watchFilter(ns *os.File) (stop func(), err error) {
	nf, err := nflog.Open(&nflog.Config{
		Group: nft.LogGroup, NetNS: int(ns.Fd()), Copymode: nflog.CopyPacket, Bufsize: nft.LogBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("open nflog: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex // held while a packet is looked at
	over := false
	err = nf.RegisterWithErrorFunc(ctx, func(a nflog.Attribute) int {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			g.logged(a)
		}
		return 0
	}, func(error) int { return 0 })
	if err != nil {
		cancel()
		_ = nf.Close()
		return nil, fmt.Errorf("listen to nflog: %w", err)
	}
	return func() {
		cancel() // first: Close waits for the reader, which only this ends
		_ = nf.Close()
		mu.Lock()
		defer mu.Unlock()
		over = true // what the reader still has is not looked at: the gate is going
	}, nil
}

func (g *gate) logged(a nflog.Attribute) {
	if a.Payload == nil {
		return
	}
	p, ok := parsePacket(*a.Payload)
	if ok && a.Mark != nil && *a.Mark == nft.BarrierMark {
		g.barriers.passed(p.src.Port())
		return
	}
	if !ok || p.dst.Addr().IsMulticast() && p.proto == unix.IPPROTO_ICMPV6 { // the kernel's own
		return
	}
	d := denial.Denial{
		Op: denial.Connect, Addr: p.dst.Addr().String(), Port: p.dst.Port(), Protocol: protoName(p.proto), UID: a.UID,
	}
	if name, ok := g.names.Name(p.dst.Addr()); ok && netns.Named.Contains(p.dst.Addr()) {
		v := g.rules.Load().NamePort(name, p.dst.Port(), time.Now())
		d.Host, d.Addr, d.Rule, d.Reason = name, "", v.Rule, v.Reason
	}
	if d.Protocol == "icmp" {
		d.Rule, d.Reason = g.unpinged(p.dst)
	}
	g.tell(d, who.Socket{Proto: d.Protocol, Local: p.src, Remote: p.dst})
}

// packet is what is read of a refused packet.
type packet struct {
	src, dst netip.AddrPort
	proto    byte
}

// parsePacket reads the head of an IP packet; RFC 791, RFC 8200. It is safe for
// any bytes.
func parsePacket(b []byte) (packet, bool) {
	var p packet
	var src, dst netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		p.proto = b[9]
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[min(len(b), max(20, int(b[0]&0xf)*4)):]
	case len(b) >= 40 && b[0]>>4 == 6:
		p.proto = b[6]
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	default:
		return p, false
	}
	var sport, dport uint16
	if (p.proto == unix.IPPROTO_TCP || p.proto == unix.IPPROTO_UDP) && len(b) >= 4 {
		sport, dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	}
	p.src, p.dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return p, true
}

func protoName(n byte) string {
	switch n {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "icmp"
	}
	return fmt.Sprintf("protocol %d", n)
}
