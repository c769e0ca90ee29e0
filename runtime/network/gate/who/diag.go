package who

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/ask"
)

// Sizes and numbers of linux/inet_diag.h and linux/sock_diag.h.
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	requestLen       = 56 // struct inet_diag_req_v2
	answerLen        = 72 // struct inet_diag_msg
	stateAt          = 1  // idiag_state in it
	inodeAt          = 68 // idiag_inode
	stateListen      = 10 // TCP_LISTEN of linux/tcp_states.h
)

// errNoSocket is the kernel's answer for a socket that is not there, or that no
// process holds any more.
var errNoSocket = errors.New("no such socket")

// A diag asks about one socket at a time; see sock_diag(7). A dump of all would
// cost more with each socket that the sandbox opens.
type diag struct{ *ask.Socket }

// openDiag opens a socket inside of the namespace, whose sockets it then knows.
func openDiag(ns *os.File) (*diag, error) {
	s, err := ask.Open(ns, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return &diag{s}, nil
}

// inode is that of the socket with exactly these ends or, of UDP, of one that is
// bound to the local one. In the place of a connection that is gone the kernel
// names who listens at its local end: that may be somebody else.
func (d *diag) inode(s Socket) (uint32, error) {
	b, err := d.Ask(sockDiagByFamily, request(s))
	var no *ask.Error
	if errors.As(err, &no) {
		return 0, errNoSocket
	}
	if err != nil {
		return 0, fmt.Errorf("ask sock_diag: %w", err)
	}
	return inodeOf(b, s.Listens)
}

// inodeOf reads a struct inet_diag_msg. It is safe for any bytes.
func inodeOf(b []byte, listens bool) (uint32, error) {
	if len(b) < answerLen || listens != (b[stateAt] == stateListen) {
		return 0, errNoSocket
	}
	if n := binary.NativeEndian.Uint32(b[inodeAt:]); n != 0 {
		return n, nil
	}
	return 0, errNoSocket // nobody has accepted it yet, or everybody has closed it
}

// request is a struct inet_diag_req_v2. Of UDP the kernel takes the two ends the other
// way around; see udp_dump_one in net/ipv4/udp_diag.c.
func request(s Socket) []byte {
	proto, from, to := byte(unix.IPPROTO_TCP), s.Local, s.Remote
	if s.Proto == "udp" {
		proto, from, to = unix.IPPROTO_UDP, s.Remote, s.Local
	}
	family := byte(unix.AF_INET)
	if s.Local.Addr().Is6() {
		family = unix.AF_INET6
	}
	q := make([]byte, requestLen)
	q[0], q[1] = family, proto
	binary.NativeEndian.PutUint32(q[4:], ^uint32(0)) // in whatever state
	putEnd(q[8:], q[12:], from)
	putEnd(q[10:], q[28:], to)
	binary.NativeEndian.PutUint64(q[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return q
}

func putEnd(port, addr []byte, a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	binary.BigEndian.PutUint16(port, a.Port())
	copy(addr, a.Addr().AsSlice())
}
