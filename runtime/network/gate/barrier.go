package gate

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/nft"
	"blast.example/blast/state"
)

// barriers wait for packets of the gate's own that the filter logs. It logs in
// the order in which packets come, so when one is seen, whatever was refused before
// it was sent is on record.
type barriers struct {
	mu      sync.Mutex
	waiting map[uint16]chan struct{} // by source port
}

func (b *barriers) add(port uint16) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[uint16]chan struct{}{}
	}
	c := make(chan struct{})
	b.waiting[port] = c
	return c
}

// passed notes that the packet from a port was seen. Nobody inside can send one:
// marking takes CAP_NET_ADMIN over the namespace (socket(7), SO_MARK).
func (b *barriers) passed(port uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.waiting[port]; c != nil {
		close(c)
		delete(b.waiting, port)
	}
}

func (b *barriers) drop(port uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, port)
}

// nowhere is an address for documentation (RFC 5737); nothing gets there.
var nowhere = &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}, Port: 9}

// flush returns when all that the filter refused before the call is on record.
func (g *gate) flush(ctx context.Context) error {
	var fd int
	err := netns.Do(g.ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("flush denials: %w", err)
	}
	s := os.NewFile(uintptr(fd), "barrier")
	defer func() { _ = s.Close() }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, nft.BarrierMark); err != nil {
		return fmt.Errorf("flush denials: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: netns.Own.Addr().As4()}); err != nil {
		return fmt.Errorf("flush denials: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("flush denials: %w", err)
	}
	port := uint16(name.(*unix.SockaddrInet4).Port)
	seen := g.barriers.add(port)
	defer g.barriers.drop(port)
	_ = unix.Sendto(fd, nil, 0, nowhere) // EPERM: it is refused, as it should be
	select {
	case <-seen:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush denials: %w", ctx.Err())
	}
}

// Flush implements kinds.Flusher.
func (h *Host) Flush(ctx context.Context, env state.Env) error {
	g := h.running(env)
	if g == nil {
		return nil
	}
	return g.flush(ctx)
}
