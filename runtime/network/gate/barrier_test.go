package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/nft"
)

// TestFlush: whoever is told "done" finds all that was refused before in the log,
// without looking twice, however fast it came.
func TestFlush(t *testing.T) {
	s := up(t, webRule(80))
	path := filepath.Join(s.env.Run, denial.File)
	for round := range 30 {
		from := denial.End(path)
		addr := fmt.Sprintf("203.0.113.%d:%d", round+1, 1000+round)
		if err := s.inside(func() error {
			c, err := net.Dial("udp", addr)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			_, err = c.Write([]byte("x"))
			return err
		}); err == nil {
			t.Fatal("not refused")
		}
		if err := s.host.Flush(t.Context(), s.env); err != nil {
			t.Fatal(err)
		}
		ds, _, err := denial.Read(path, from)
		if err != nil || len(ds) != 1 || ds[0].Target() != addr {
			t.Fatalf("round %d: %+v, %v", round, ds, err)
		}
	}
}

// TestFlushEnds: without the rule that logs barriers there is an error, and not a
// wait without an end; without a gate there is nothing to wait for.
func TestFlushEnds(t *testing.T) {
	s := up(t, webRule(80))
	s.nsenter("nft", "flush", "ruleset")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.host.Flush(ctx, s.env); err == nil {
		t.Error("flushed without a filter")
	}
	other := newSandbox(t)
	if err := other.host.Flush(t.Context(), other.env); err != nil {
		t.Error(err)
	}
}

// TestBarrierIsNoWayOut: the mark, if somebody inside could set it, opens nothing.
func TestBarrierIsNoWayOut(t *testing.T) {
	s := up(t, webRule(80))
	err := s.inside(func() error {
		d := net.Dialer{Control: mark}
		c, err := d.Dial("udp", web+":7")
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("x"))
		return err
	})
	if err == nil {
		t.Error("a marked packet gets out")
	}
}

func mark(_, _ string, raw syscall.RawConn) error {
	var err error
	return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, nft.BarrierMark) }), err)
}
