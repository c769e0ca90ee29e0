package netlab

import (
	"io"
	"net"
	"sync"
	"time"
)

// A Bulk server takes or gives as many bytes as it can. A client that says 's' first
// is sent bytes until it ends; one that says 'r' is read.
type Bulk struct {
	mu     sync.Mutex
	bytes  int64
	last   time.Time
	widest time.Duration
}

// Received is how many bytes came in all, behind the first of each connection.
func (b *Bulk) Received() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// Widest is the longest time in which nothing came, since it was asked last.
func (b *Bulk) Widest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.widest
	b.widest, b.last = 0, time.Now()
	return d
}

func (b *Bulk) came(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += int64(n)
	now := time.Now()
	if !b.last.IsZero() {
		b.widest = max(b.widest, now.Sub(b.last))
	}
	b.last = now
}

// ServeBulk starts a Bulk server at addr:port.
func (l *Lab) ServeBulk(at string) (*Bulk, error) {
	ln, err := l.listen(at)
	if err != nil {
		return nil, err
	}
	b := &Bulk{}
	l.wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			l.keep(c)
			l.wg.Go(func() { b.serve(c) })
		}
	})
	return b, nil
}

func (b *Bulk) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 64<<10)
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return
	}
	for send := buf[0] == 's'; ; {
		if send {
			if _, err := c.Write(buf); err != nil {
				return
			}
			continue
		}
		n, err := c.Read(buf)
		if n > 0 {
			b.came(n)
		}
		if err != nil {
			return
		}
	}
}
