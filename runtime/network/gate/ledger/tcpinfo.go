package ledger

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// An Info is what the kernel knows of a TCP connection that was accepted.
type Info struct {
	Acked uint64        // bytes of payload that the other end has taken
	Quiet time.Duration // since payload last went either way

	state      uint8
	receivedIn uint64 // bytes of payload from the other end, and one for its FIN
}

// States of linux/tcp_states.h.
const (
	stateClose     = 7
	stateCloseWait = 8
	stateLastAck   = 9
	stateClosing   = 11
)

// InfoOf reads TCP_INFO; see tcp(7) and linux/tcp.h. It fails for a socket that is
// closed. bytes_acked has one more for our FIN, bytes_sent nothing that isn't
// payload, but what was sent and not taken.
func InfoOf(c *net.TCPConn) (Info, bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Info{}, false
	}
	var in *unix.TCPInfo
	var ierr error
	err = raw.Control(func(fd uintptr) { in, ierr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || ierr != nil {
		return Info{}, false
	}
	return Info{
		Acked: min(in.Bytes_acked, in.Bytes_sent-min(in.Bytes_sent, in.Bytes_retrans)),
		Quiet: time.Duration(min(in.Last_data_sent, in.Last_data_recv)) * time.Millisecond,
		state: in.State, receivedIn: in.Bytes_received,
	}, true
}

// received is the payload that came. fin says that the other end's FIN did, where
// the state can't tell any more.
func (i Info) received(fin bool) uint64 {
	if n := i.receivedIn; n > 0 && (fin || i.Fin()) {
		return n - 1
	}
	return i.receivedIn
}

// Fin reports whether the other end has said that it sends no more, while this end
// is open.
func (i Info) Fin() bool {
	return i.state == stateCloseWait || i.state == stateLastAck || i.state == stateClosing
}

// Dead reports whether the connection is over: both ends closed it, or one reset it.
func (i Info) Dead() bool { return i.state == stateClose }
