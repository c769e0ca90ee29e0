package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// maxHello bounds a ClientHello with all its records, in bytes. With
// post-quantum key shares they have about 2000.
const maxHello = 64 << 10

var errEnough = errors.New("the ClientHello was read")

// readHello reads a TLS ClientHello, however it is split over records, and
// returns the server name and all bytes it took from in. crypto/tls refuses
// repeated extensions and names, so a server can't read another name from it.
func readHello(in io.Reader) (name string, said []byte, err error) {
	rec := &recorder{in: io.LimitReader(in, maxHello)}
	seen := false
	conf := &tls.Config{
		MinVersion: tls.VersionTLS10, //nolint:gosec // nothing is negotiated: the hello is only read
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, seen = h.ServerName, true
			return nil, errEnough
		},
	}
	err = tls.Server(rec, conf).HandshakeContext(context.Background())
	if !seen {
		return "", rec.said, err
	}
	return name, rec.said, nil
}

// recorder is a connection that only reads, and remembers what.
type recorder struct {
	in   io.Reader
	said []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.said = append(r.said, p[:n]...)
	return n, err
}

// Write throws away the alert that ends the handshake.
func (r *recorder) Write(p []byte) (int, error)      { return len(p), nil }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recorder) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
