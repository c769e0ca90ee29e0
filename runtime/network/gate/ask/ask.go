// Package ask puts questions to the kernel of a network namespace by netlink(7), one at a
// time, each of which has one answer. It has sockets of its own making, as a netlink
// library waits for the end of what the kernel marks as the first of several
// (NLM_F_MULTI), and of connection tracking's one answer there is none.
package ask

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// within bounds a question: the kernel answers while it is asked.
const within = time.Second

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 4096

// An Error is an answer that says no; see errno(3).
type Error struct{ Errno unix.Errno }

func (e *Error) Error() string { return "the kernel answers: " + e.Errno.Error() }

// A Socket asks. It may be used by one goroutine at a time.
type Socket struct {
	fd  int
	seq uint32
}

// Open opens a socket inside of the namespace for one family of netlink, such as
// unix.NETLINK_INET_DIAG. It stays there until Close.
func Open(ns *os.File, family int) (*Socket, error) {
	s := &Socket{}
	err := netns.Do(ns, func() (err error) {
		s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(within))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		s.Close()
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return s, nil
}

// Close gives the socket back.
func (s *Socket) Close() { _ = unix.Close(s.fd) }

// Ask sends a message of this type, and returns what its answer has after the header. An
// *Error is the kernel's no; any other one means that it was not asked, or has not answered.
func (s *Socket) Ask(kind uint16, data []byte) ([]byte, error) {
	s.seq++
	if err := s.send(message(kind, s.seq, data)); err != nil {
		return nil, fmt.Errorf("ask the kernel: %w", err)
	}
	buf := make([]byte, maxAnswer)
	for {
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ask the kernel: %w", err)
		}
		k, ok := from.(*unix.SockaddrNetlink)
		if !ok || k.Pid != 0 || n < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint32(buf[8:]) != s.seq {
			continue // not the kernel's, or the answer to an earlier question
		}
		return answer(buf[:n])
	}
}

func (s *Socket) send(b []byte) error {
	for {
		err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// message has a struct nlmsghdr of linux/netlink.h before the data.
func message(kind uint16, seq uint32, data []byte) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(data))
	binary.NativeEndian.PutUint32(b, uint32(cap(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, data...)
}

// answer takes an answer apart. It is safe for any bytes that begin with a header.
func answer(b []byte) ([]byte, error) {
	kind, body := binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:]
	if n := int(binary.NativeEndian.Uint32(b)); n >= unix.NLMSG_HDRLEN && n < len(b) {
		body = b[unix.NLMSG_HDRLEN:n]
	}
	if kind != unix.NLMSG_ERROR {
		return body, nil
	}
	if len(body) < 4 {
		return nil, &Error{unix.EBADMSG}
	}
	return nil, &Error{unix.Errno(-int32(binary.NativeEndian.Uint32(body)))}
}
