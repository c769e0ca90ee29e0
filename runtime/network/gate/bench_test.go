package gate

import (
	"io"
	"testing"

	"blast.example/blast/runtime/network"
)

// BenchmarkRelay is an echo through the gate: bytes a second one way, and
// connections a second, each with a round trip.
func BenchmarkRelay(b *testing.B) {
	s := up(b, network.Egress{Name: "raw", CIDRs: []string{web + "/32"}, Ports: []uint16{7}})
	b.Run("bytes", func(b *testing.B) {
		c := s.mustDial(web + ":7")
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
			c := s.mustDial(web + ":7")
			if err := echoes(c, "x"); err != nil {
				b.Fatal(err)
			}
			_ = c.Close()
		}
	})
}
