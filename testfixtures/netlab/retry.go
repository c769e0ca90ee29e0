package netlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
)

// ServeRetry starts a server of TLS that asks everybody for a second ClientHello, and goes by the name in
// that, which it writes down.
func (l *Lab) ServeRetry(at string) error {
	ln, err := l.listen(at)
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			l.keep(c)
			l.wg.Go(func() {
				defer func() { _ = c.Close() }()
				l.retry(c)
			})
		}
	})
	return nil
}

// helloRetry is a HelloRetryRequest for a key of x25519; RFC 8446 section 4.1.4.
var helloRetry = append(append([]byte{0x16, 3, 3, 0, 56, 2, 0, 0, 52, 3, 3},
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c),
	0, 0x13, 0x01, 0, 0, 12, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 29)

func (l *Lab) retry(c net.Conn) {
	if _, err := helloOf(c); err != nil {
		return
	}
	if _, err := c.Write(helloRetry); err != nil {
		return
	}
	name, err := helloOf(c)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(&l.Journal, "\nrequest for %s: a second hello of TLS\n", name)
	_, _ = c.Write([]byte{0x16, 3, 3, 0, 4, 2, 0, 0, 0})
}

// helloOf reads a ClientHello, after what may stand before it.
func helloOf(c net.Conn) (name string, err error) {
	head := make([]byte, 6)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", err
	}
	first := io.MultiReader(bytes.NewReader(head), c)
	if head[0] == 0x14 {
		first = c
	}
	seen := errors.New("seen")
	err = tls.Server(readOnly{c, first}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, seen
		},
	}).HandshakeContext(context.Background())
	if errors.Is(err, seen) {
		err = nil
	}
	return name, err
}

// readOnly is a connection whose answers nobody gets.
type readOnly struct {
	net.Conn
	in io.Reader
}

func (r readOnly) Read(b []byte) (int, error)  { return r.in.Read(b) }
func (r readOnly) Write(b []byte) (int, error) { return len(b), nil }
