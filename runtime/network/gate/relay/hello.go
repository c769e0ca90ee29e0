package relay

import (
	"context"
	"crypto/tls"
	"encoding/binary"
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
// returns the server name and the bytes of these records: what stands behind them is
// left in in, as it may be a second ClientHello. crypto/tls refuses repeated
// extensions and names, so a server can't read another name from it.
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
	switch {
	case !seen:
		return "", rec.said, err
	case !alone(rec.said):
		return "", rec.said, errors.New("another message is in the record where the ClientHello ends")
	}
	return name, rec.said, nil
}

// alone reports whether the records hold one handshake message to its last byte.
func alone(records []byte) bool {
	var message []byte
	for len(records) >= recordHead {
		end := min(recordHead+sizeOf(records), len(records))
		if records[0] == recordHandshake {
			message = append(message, records[recordHead:end]...)
		}
		records = records[end:]
	}
	// Type, length in three bytes.
	return len(message) >= 4 && len(message) == 4+int(message[1])<<16+int(binary.BigEndian.Uint16(message[2:]))
}

// recorder is a connection that only reads, and remembers what. crypto/tls reads ahead:
// it gets no byte behind the record that it waits for.
type recorder struct {
	in   io.Reader
	said []byte
	at   int // where the record begins in said
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.in.Read(p[:min(len(p), r.wanted())])
	r.said = append(r.said, p[:n]...)
	return n, err
}

// wanted is how many bytes of the record are missing, or of its head.
func (r *recorder) wanted() int {
	record := r.said[r.at:]
	if len(record) >= recordHead && len(record) == recordHead+sizeOf(record) {
		r.at, record = len(r.said), nil
	}
	if len(record) < recordHead {
		return recordHead - len(record)
	}
	return recordHead + sizeOf(record) - len(record)
}

// Write throws away the alert that ends the handshake.
func (r *recorder) Write(p []byte) (int, error)      { return len(p), nil }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recorder) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
