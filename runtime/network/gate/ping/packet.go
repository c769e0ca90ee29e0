package ping

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// An echo is a request or an answer.
type echo struct {
	src, dst netip.Addr
	id, seq  uint16
	data     []byte
}

const echoHead = 8 // bytes before the payload

// parse reads a whole IP packet with an echo request; RFC 791, 792, 8200, 4443. It is
// safe for any bytes. Fragments and packets with extension headers are not read.
func parse(b []byte) (echo, bool) {
	var e echo
	var body []byte
	var kind byte
	switch {
	case len(b) >= ipv4.HeaderLen && b[0]>>4 == 4:
		head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
		fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff // but "don't"
		if b[9] != unix.IPPROTO_ICMP || fragment != 0 || head < ipv4.HeaderLen || total > len(b) || head > total {
			return e, false
		}
		e.src, e.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		body, kind = b[head:total], byte(ipv4.ICMPTypeEcho)
	case len(b) >= ipv6.HeaderLen && b[0]>>4 == 6:
		total := ipv6.HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
		if b[6] != unix.IPPROTO_ICMPV6 || total > len(b) {
			return e, false
		}
		e.src, e.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		body, kind = b[ipv6.HeaderLen:total], byte(ipv6.ICMPTypeEchoRequest)
	default:
		return e, false
	}
	if len(body) < echoHead || body[0] != kind || body[1] != 0 {
		return e, false
	}
	e.id, e.seq, e.data = binary.BigEndian.Uint16(body[4:]), binary.BigEndian.Uint16(body[6:]), body[echoHead:]
	return e, true
}

// packet is the answer as a whole IP packet.
func (e echo) packet() ([]byte, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &icmp.Echo{ID: int(e.id), Seq: int(e.seq), Data: e.data}}
	if e.dst.Is4() {
		body, err := m.Marshal(nil)
		if err != nil {
			return nil, err
		}
		h := ipv4.Header{
			Version: ipv4.Version, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + len(body), TTL: hops,
			Protocol: unix.IPPROTO_ICMP, Src: e.src.AsSlice(), Dst: e.dst.AsSlice(),
		}
		head, err := h.Marshal() // the kernel makes its checksum; see raw(7)
		return append(head, body...), err
	}
	m.Type = ipv6.ICMPTypeEchoReply
	body, err := m.Marshal(icmp.IPv6PseudoHeader(e.src.AsSlice(), e.dst.AsSlice()))
	if err != nil {
		return nil, err
	}
	head := make([]byte, ipv6.HeaderLen, ipv6.HeaderLen+len(body))
	head[0] = ipv6.Version << 4
	binary.BigEndian.PutUint16(head[4:], uint16(len(body)))
	head[6], head[7] = unix.IPPROTO_ICMPV6, hops
	copy(head[8:], e.src.AsSlice())
	copy(head[24:], e.dst.AsSlice())
	return append(head, body...), nil
}

// hops is the TTL that an answer has in the sandbox.
const hops = 64
