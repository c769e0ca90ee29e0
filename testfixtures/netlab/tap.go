package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Packet is one packet as it crossed an interface, from the IP head on.
type Packet struct {
	Outgoing bool   // it was sent, not received
	Kind     uint16 // of the frame: unix.ETH_P_IP, ETH_P_IPV6, ...
	Data     []byte
}

// A Tap has every IP packet that any interface of one network namespace sent or
// received, loopback included (those twice). It doesn't ask those who sent them.
type Tap struct {
	file *os.File
	done chan struct{}

	mu      sync.Mutex
	arrived *sync.Cond
	packets []Packet
	off     bool
}

// tapBuffer is the kernel's part of a tap, in bytes.
const tapBuffer = 64 << 20

// NewTap taps the network namespace of the caller.
func NewTap() (*Tap, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, htons(unix.ETH_P_ALL))
	if err != nil {
		return nil, fmt.Errorf("make tap: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("make tap: %w", err), unix.Close(fd))
	}
	t := &Tap{file: os.NewFile(uintptr(fd), "tap"), done: make(chan struct{})}
	t.arrived = sync.NewCond(&t.mu)
	go t.run()
	return t, nil
}

func htons(n uint16) int { return int(n<<8 | n>>8) }

func (t *Tap) run() {
	defer close(t.done)
	raw, err := t.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 1<<17)
	for {
		var n int
		var from unix.Sockaddr
		var got error
		err := raw.Read(func(fd uintptr) bool {
			n, from, got = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(got, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && got == nil {
			t.add(Packet{Outgoing: ll.Pkttype == unix.PACKET_OUTGOING, Kind: uint16(htons(ll.Protocol)), Data: append([]byte(nil), buf[:n]...)})
		}
	}
}

func (t *Tap) add(p Packet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.off {
		t.packets = append(t.packets, p)
	}
	t.arrived.Broadcast()
}

// Pause says whether to forget what comes from now on.
func (t *Tap) Pause(off bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = off
}

// Take returns the packets since the last time, up to one that it sends itself and
// waits for: so none is on the way any more. Lost is how many the kernel had no room for.
func (t *Tap) Take() (ps []Packet, lost int, err error) {
	mark := fmt.Appendf(nil, "tap mark %d", time.Now().UnixNano())
	c, err := net.Dial("udp", "127.0.0.1:9") // the discard port: nobody listens
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(mark); err != nil {
		return nil, 0, err
	}
	timer := time.AfterFunc(10*time.Second, t.arrived.Broadcast)
	defer timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for end := time.Now().Add(10 * time.Second); !t.has(mark); t.arrived.Wait() {
		if time.Now().After(end) {
			return nil, 0, errors.New("the tap doesn't see what is sent")
		}
	}
	ps, t.packets = t.packets, nil
	return ps, t.lost(), nil
}

// has looks for a mark from the last packet back. t.mu is held.
func (t *Tap) has(mark []byte) bool {
	for i := len(t.packets) - 1; i >= 0; i-- {
		if d := t.packets[i].Data; len(d) > len(mark) && string(d[len(d)-len(mark):]) == string(mark) {
			return true
		}
	}
	return false
}

func (t *Tap) lost() int {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return -1
	}
	n := -1
	err = raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = int(s.Drops)
		}
	})
	if err != nil {
		return -1
	}
	return n
}

// Close ends the tap.
func (t *Tap) Close() {
	_ = t.file.Close()
	<-t.done
}
