package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/ask"
	"blast.example/blast/runtime/network/gate/netns"
)

// Numbers of linux/netfilter/nfnetlink_conntrack.h.
const (
	getFlow    = 1<<8 | 1 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
	tupleOrig  = 1        // CTA_TUPLE_ORIG
	tupleReply = 2        // CTA_TUPLE_REPLY
	tupleIP    = 1        // CTA_TUPLE_IP
	tupleProto = 2        // CTA_TUPLE_PROTO
	ip4Src     = 1        // CTA_IP_V4_SRC, and so on
	ip4Dst     = 2
	ip6Src     = 3
	ip6Dst     = 4
	protoNum   = 1 // CTA_PROTO_NUM
	portSrc    = 2 // CTA_PROTO_SRC_PORT
	portDst    = 3 // CTA_PROTO_DST_PORT
)

// tracker asks the namespace's connection tracking.
type tracker struct{ *ask.Socket }

func openTracker(ns *os.File) (tracker, error) {
	s, err := ask.Open(ns, unix.NETLINK_NETFILTER)
	if err != nil {
		return tracker{}, fmt.Errorf("open conntrack: %w", err)
	}
	return tracker{s}, nil
}

// flow sends one request and returns the attributes of the answer.
func (t tracker) flow(family byte, attrs []byte) ([]byte, error) {
	b, err := t.Ask(getFlow, append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...))
	if err != nil {
		return nil, err
	}
	if len(b) < 4 { // a struct nfgenmsg
		return nil, errors.New("the answer is too short")
	}
	return b[4:], nil
}

// udpDestination finds out where the packets of a source at the UDP relay were
// sent, and from which source the process sent them.
func (t tracker) udpDestination(from netip.AddrPort) (src, dst netip.AddrPort, err error) {
	family, self := byte(unix.AF_INET), netns.Loopback4
	if from.Addr().Is6() {
		family, self = unix.AF_INET6, netns.Loopback6
	}
	body, err := encodeTuple(netip.AddrPortFrom(self, netns.UDPPort), from)
	if err != nil {
		return src, dst, err
	}
	answer, err := t.flow(family, body)
	if err == nil {
		src, dst, err = decodeFlow(answer)
	}
	if err != nil {
		return src, dst, fmt.Errorf("ask conntrack: %w", err)
	}
	return src, dst, nil
}

// encodeTuple writes CTA_TUPLE_REPLY: the relay answers the source.
func encodeTuple(src, dst netip.AddrPort) ([]byte, error) {
	s, d := uint16(ip4Src), uint16(ip4Dst)
	if src.Addr().Is6() {
		s, d = ip6Src, ip6Dst
	}
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.Nested(tupleReply, func(e *netlink.AttributeEncoder) error {
		e.Nested(tupleIP, func(e *netlink.AttributeEncoder) error {
			e.Bytes(s, src.Addr().AsSlice())
			e.Bytes(d, dst.Addr().AsSlice())
			return nil
		})
		e.Nested(tupleProto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(protoNum, unix.IPPROTO_UDP)
			e.Uint16(portSrc, src.Port())
			e.Uint16(portDst, dst.Port())
			return nil
		})
		return nil
	})
	return e.Encode()
}

// decodeFlow reads CTA_TUPLE_ORIG.
func decodeFlow(b []byte) (src, dst netip.AddrPort, err error) {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return src, dst, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == tupleOrig {
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				src, dst = decodeTuple(ad)
				return nil
			})
		}
	}
	return src, dst, ad.Err()
}

func decodeTuple(ad *netlink.AttributeDecoder) (src, dst netip.AddrPort) {
	var from, to netip.Addr
	var sport, dport uint16
	for ad.Next() {
		switch ad.Type() {
		case tupleIP:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case ip4Src, ip6Src:
						from, _ = netip.AddrFromSlice(ad.Bytes())
					case ip4Dst, ip6Dst:
						to, _ = netip.AddrFromSlice(ad.Bytes())
					}
				}
				return ad.Err()
			})
		case tupleProto:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case portSrc:
						sport = ad.Uint16()
					case portDst:
						dport = ad.Uint16()
					}
				}
				return ad.Err()
			})
		}
	}
	return netip.AddrPortFrom(from, sport), netip.AddrPortFrom(to, dport)
}
