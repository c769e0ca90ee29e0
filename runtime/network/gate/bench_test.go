package gate

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/state"
)

// BenchmarkRelay is an echo through the gate: bytes a second one way, and
// connections a second, each with a round trip.
func BenchmarkRelay(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: makes network namespaces")
	}
	env := state.NewEnv(b.TempDir(), "default", 0, 0)
	env.Run, env.Cgroup = filepath.Join(env.Project, "run"), ""
	h := New(slog.New(slog.DiscardHandler))
	defer func() {
		_ = h.Close()
		_ = netns.Unpin(pinPath(env))
	}()
	p := policyOf(network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	for _, c := range []plan.Change{{Addr: network.NamespaceAddr, To: attrs(network.Namespace{})}, {Addr: network.PolicyAddr, To: attrs(p)}} {
		if err := h.Apply(context.Background(), env, c); err != nil {
			b.Fatal(err)
		}
	}
	ns, err := netns.Open(pinPath(env))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	dial := func() net.Conn {
		var c net.Conn
		if err := netns.Do(ns, func() (err error) { c, err = net.Dial("tcp", web+":7"); return err }); err != nil {
			b.Fatal(err)
		}
		return c
	}
	b.Run("bytes", func(b *testing.B) {
		c := dial()
		defer func() { _ = c.Close() }()
		out, in := make([]byte, 1<<20), make([]byte, 1<<20)
		b.SetBytes(int64(len(out)))
		for b.Loop() {
			go func() { _, _ = c.Write(out) }()
			if _, err := io.ReadFull(c, in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("connections", func(b *testing.B) {
		for b.Loop() {
			c := dial()
			if err := echoes(c, "x"); err != nil {
				b.Fatal(err)
			}
			_ = c.Close()
		}
	})
}
