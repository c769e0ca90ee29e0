package relay

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// pair is a connection over loopback, both ends.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	far, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)) //nolint:forcetypeassert // it is one
	if err != nil {
		t.Fatal(err)
	}
	if near, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// A line is a source and a sink with a move between them.
type line struct {
	source, src, dst, sink *net.TCPConn
	over                   chan error
}

func (p *pipes) start(t *testing.T) line {
	t.Helper()
	var l line
	l.src, l.source = pair(t)
	l.dst, l.sink = pair(t)
	l.over = make(chan error, 1)
	go func() {
		err := p.move(l.dst, l.src)
		_ = l.dst.CloseWrite()
		l.over <- err
	}()
	return l
}

func (l line) passes(t *testing.T, n int) {
	t.Helper()
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	go func() {
		for rest := data; len(rest) > 0; { // in pieces of all sizes
			k := min(len(rest), 1+rand.IntN(100_000))
			_, _ = l.source.Write(rest[:k])
			rest = rest[k:]
		}
		_ = l.source.CloseWrite()
	}()
	want := sha256.Sum256(data)
	got, err := io.ReadAll(l.sink)
	if have := sha256.Sum256(got); err != nil || !bytes.Equal(have[:], want[:]) {
		t.Errorf("%d bytes came of %d, or others: %v", len(got), n, err)
	}
	if err := <-l.over; err != nil {
		t.Error(err)
	}
}

func (p *pipes) state() (idle, lent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle), p.lent
}

func TestMovedBytesArrive(t *testing.T) {
	var p pipes
	defer p.close()
	p.start(t).passes(t, 20<<20)
	if idle, lent := p.state(); idle != 1 || lent != 0 {
		t.Errorf("%d pipes are idle, %d lent: it was not the kernel that moved them, or one is lost", idle, lent)
	}
	p.start(t).passes(t, 0)
}

// Readers that don't read may have all pipes; others get on without.
func TestMoveWithoutPipes(t *testing.T) {
	var p pipes
	defer p.close()
	var slow []line
	for range Pipes + 5 {
		l := p.start(t)
		slow = append(slow, l)
		go func() { _, _ = l.source.Write(make([]byte, 16<<20)) }()
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if _, lent := p.state(); lent == Pipes {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the readers that don't read don't have all pipes")
		}
		<-time.After(time.Millisecond)
	}
	p.start(t).passes(t, 5<<20)
	for _, l := range slow {
		reset(l.dst)
		reset(l.src)
		if err := <-l.over; err == nil {
			t.Error("no error, though not all was sent")
		}
	}
	if idle, lent := p.state(); lent != 0 {
		t.Errorf("%d pipes are lent, %d idle", lent, idle)
	}
	p.start(t).passes(t, 1<<20)
}

// A wake ends the wait for bytes, and takes none.
func TestSilentMoveHasNoPipe(t *testing.T) {
	var p pipes
	defer p.close()
	l := p.start(t)
	buf := make([]byte, 5)
	for range 3 {
		if _, err := l.source.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(l.sink, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%q %v", buf, err)
		}
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if idle, lent := p.state(); idle == 1 && lent == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a silent connection keeps its pipe")
		}
		<-time.After(time.Millisecond)
	}
	_ = l.src.SetReadDeadline(time.Unix(1, 0))
	if err := <-l.over; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("woken: %v", err)
	}
}
