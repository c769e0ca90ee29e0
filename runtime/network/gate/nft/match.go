package nft

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A match is a piece of a rule: it lets the rule go on or not.
type match []expr.Any

func join(ms ...match) []expr.Any {
	var all []expr.Any
	for _, m := range ms {
		all = append(all, m...)
	}
	return all
}

// proto matches the transport protocol, of IPv4 and IPv6.
func proto(number byte) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

func protoNumber(name string) byte {
	if name == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// port matches the destination port of TCP and UDP; a proto match comes first.
func port(r portRange) match {
	load := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	if r.first == r.last {
		return match{load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: be16(r.first)}}
	}
	return match{load, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: be16(r.first), ToData: be16(r.last)}}
}

// to matches the destination address, and so the IP version.
func to(p netip.Prefix) match {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if p.Addr().Is6() {
		family, offset = unix.NFPROTO_IPV6, 24
	}
	m := match{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
	if p.Bits() == 0 {
		return m
	}
	addr := p.Masked().Addr().AsSlice()
	size := uint32(len(addr))
	m = append(m, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size})
	if p.Bits() < len(addr)*8 {
		m = append(m, &expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: size,
			Mask: net.CIDRMask(p.Bits(), len(addr)*8), Xor: make([]byte, size),
		})
	}
	return append(m, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr})
}

// toLocal matches destinations that are the namespace's own addresses.
func toLocal() match {
	return match{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// isReply matches packets of the side that was connected to.
func isReply() match {
	return match{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}, // IP_CT_DIR_REPLY
	}
}

func accept() match { return match{&expr.Verdict{Kind: expr.VerdictAccept}} }

// reset ends a TCP connection attempt at once. An ICMP answer would race the
// connect(2) that it answers, and hang it for a second.
func reset() match {
	return match{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
}

// forbid makes sendto(2) fail with EPERM at once.
func forbid() match {
	return match{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

// marked matches packets of a socket that was given the mark.
func marked(mark uint32) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
}

// echoRequest matches pings; RFC 792, RFC 4443.
func echoRequest(is4 bool) match {
	number, kind := byte(unix.IPPROTO_ICMP), byte(8)
	if !is4 {
		number, kind = unix.IPPROTO_ICMPV6, 128
	}
	return append(proto(number),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}},
	)
}

// upTo matches packets of up to so many bytes.
func upTo(size uint32) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: 1},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: binaryutil.BigEndian.PutUint32(size)},
	}
}

// atMost matches so many packets a second, and as many at once.
func atMost(perSecond uint32) match {
	return match{&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(perSecond), Unit: expr.LimitTimeSecond, Burst: perSecond}}
}

// copyPing gives the gate the whole packet.
func copyPing() match {
	return match{&expr.Log{
		Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
		Group: PingGroup, Snaplen: PingBytes, QThreshold: 1,
	}}
}

// logDenied copies the packet's head to the gate, at most so many a second.
func logDenied() match {
	limit := &expr.Limit{Type: expr.LimitTypePkts, Rate: 50, Unit: expr.LimitTimeSecond, Burst: 100}
	return append(match{limit}, logAll()...)
}

// logAll copies the head of every packet.
func logAll() match {
	return match{
		&expr.Log{
			Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
			Group: LogGroup, Snaplen: LogBytes, QThreshold: 1, Data: []byte(LogDenied),
		},
	}
}

// redirect sends the packet to a port of the namespace's loopback.
func redirect(port uint16) match {
	return match{
		&expr.Immediate{Register: 1, Data: be16(port)},
		// NF_NAT_RANGE_PROTO_SPECIFIED: the port, too, is changed.
		&expr.Redir{RegisterProtoMin: 1, RegisterProtoMax: 1, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
	}
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// A portRange is one port or several in a row.
type portRange struct{ first, last uint16 }

// ranges joins neighbours; ports is sorted.
func ranges(ports []uint16) []portRange {
	var rs []portRange
	for _, p := range ports {
		if n := len(rs); n > 0 && rs[n-1].last+1 == p {
			rs[n-1].last = p
		} else {
			rs = append(rs, portRange{p, p})
		}
	}
	return rs
}
