package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

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

// askWithin bounds a question to the kernel, which answers at once.
const askWithin = time.Second

// tracker asks the namespace's connection tracking. It has a socket of its own
// making, as the kernel marks the one answer as the first of several
// (NLM_F_MULTI) and never sends the end that a netlink library then waits for.
type tracker struct {
	fd  int
	seq uint32
}

func openTracker(ns *os.File) (*tracker, error) {
	t := &tracker{}
	err := netns.Do(ns, func() (err error) {
		t.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open conntrack: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(askWithin))
	if err := unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.close()
		return nil, fmt.Errorf("open conntrack: %w", err)
	}
	return t, nil
}

func (t *tracker) close() { _ = unix.Close(t.fd) }

// ask sends one request and returns the attributes of the answer.
func (t *tracker) ask(family byte, attrs []byte) ([]byte, error) {
	t.seq++
	data := append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...)
	q, err := netlink.Message{
		Header: netlink.Header{Length: uint32(unix.NLMSG_HDRLEN + len(data)), Type: getFlow, Flags: netlink.Request, Sequence: t.seq},
		Data:   data,
	}.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if err := unix.Sendto(t.fd, q, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(t.fd, buf, 0)
		if err != nil {
			return nil, err
		}
		var m netlink.Message
		if k, ok := from.(*unix.SockaddrNetlink); !ok || k.Pid != 0 || m.UnmarshalBinary(buf[:n]) != nil || m.Header.Sequence != t.seq {
			continue // not the kernel's, or the answer to an earlier question
		}
		if m.Header.Type == netlink.Error || len(m.Data) < 4 {
			return nil, errors.New("no such flow")
		}
		return m.Data[4:], nil
	}
}

// udpDestination finds out where the packets of a source at the UDP relay were
// sent, and from which source the process sent them.
func (t *tracker) udpDestination(from netip.AddrPort) (src, dst netip.AddrPort, err error) {
	family, self := byte(unix.AF_INET), netns.Loopback4
	if from.Addr().Is6() {
		family, self = unix.AF_INET6, netns.Loopback6
	}
	body, err := encodeTuple(netip.AddrPortFrom(self, netns.UDPPort), from)
	if err != nil {
		return src, dst, err
	}
	answer, err := t.ask(family, body)
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
