package who

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
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

// askWithin bounds a question to the kernel, which answers while it is asked.
const askWithin = time.Second

// errNoSocket is the kernel's answer for a socket that is not there, or that no
// process holds any more.
var errNoSocket = errors.New("no such socket")

// A diag asks about one socket at a time; see sock_diag(7). A dump of all would
// cost more with each socket that the sandbox opens.
type diag struct {
	fd  int
	seq uint32
}

// openDiag opens a socket inside of the namespace, whose sockets it then knows.
func openDiag(ns *os.File) (*diag, error) {
	d := &diag{}
	err := netns.Do(ns, func() (err error) {
		d.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(askWithin))
	if err := unix.SetsockoptTimeval(d.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		d.close()
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return d, nil
}

func (d *diag) close() { _ = unix.Close(d.fd) }

// inode is that of the socket with exactly these ends or, of UDP, of one that is
// bound to the local one. In the place of a connection that is gone the kernel
// names who listens at its local end: that may be somebody else.
func (d *diag) inode(s Socket) (uint32, error) {
	d.seq++
	if err := unix.Sendto(d.fd, request(s, d.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask sock_diag: %w", err)
	}
	buf := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(d.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("ask sock_diag: %w", err)
		}
		b := buf[:n]
		k, ok := from.(*unix.SockaddrNetlink)
		if !ok || k.Pid != 0 || n < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint32(b[8:]) != d.seq {
			continue // not the kernel's, or the answer to an earlier question
		}
		return inodeOf(b, s.Listens)
	}
}

// inodeOf reads an answer. It is safe for any bytes that begin with a header.
func inodeOf(b []byte, listens bool) (uint32, error) {
	body := b[unix.NLMSG_HDRLEN:]
	if binary.NativeEndian.Uint16(b[4:]) != sockDiagByFamily || len(body) < answerLen {
		return 0, errNoSocket
	}
	if listens != (body[stateAt] == stateListen) {
		return 0, errNoSocket
	}
	if n := binary.NativeEndian.Uint32(body[inodeAt:]); n != 0 {
		return n, nil
	}
	return 0, errNoSocket // nobody has accepted it yet, or everybody has closed it
}

// request is a netlink message with a struct inet_diag_req_v2. Of UDP the kernel
// takes the two ends the other way around; see udp_dump_one in net/ipv4/udp_diag.c.
func request(s Socket, seq uint32) []byte {
	proto, from, to := byte(unix.IPPROTO_TCP), s.Local, s.Remote
	if s.Proto == "udp" {
		proto, from, to = unix.IPPROTO_UDP, s.Remote, s.Local
	}
	family := byte(unix.AF_INET)
	if s.Local.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, unix.NLMSG_HDRLEN+requestLen)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], seq)
	q := b[unix.NLMSG_HDRLEN:]
	q[0], q[1] = family, proto
	binary.NativeEndian.PutUint32(q[4:], ^uint32(0)) // in whatever state
	putEnd(q[8:], q[12:], from)
	putEnd(q[10:], q[28:], to)
	binary.NativeEndian.PutUint64(q[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

func putEnd(port, addr []byte, a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	binary.BigEndian.PutUint16(port, a.Port())
	copy(addr, a.Addr().AsSlice())
}
