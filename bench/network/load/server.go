package load

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Ports of the server.
const (
	PortHTTP = 80
	PortTLS  = 443
	PortRaw  = 9000 // and as many more as Ports says
	PortName = 9100 // likewise: for a rule that names a host
	Ports    = 16   // one client has so many ports for each, and each is taken for a minute after its end
)

// Serve answers at all ports of a host until it fails. It calls ready once it listens.
func Serve(host string, ready func()) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	listen := func(port int) (l net.Listener, err error) {
		return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	secure, err1 := listen(PortTLS)
	web, err2 := listen(PortHTTP)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	failed := make(chan error)
	go func() {
		failed <- accept(tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}))
	}()
	go func() {
		failed <- (&http.Server{Handler: http.HandlerFunc(page), ReadHeaderTimeout: time.Minute}).Serve(web)
	}()
	for _, first := range []int{PortRaw, PortName} {
		for port := first; port < first+Ports; port++ {
			l, err := listen(port)
			if err != nil {
				return err
			}
			go func() { failed <- accept(l) }()
		}
	}
	ready()
	return <-failed
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{Name}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			answer(c)
		}()
	}
}

func answer(c net.Conn) {
	var said verb
	if _, err := io.ReadFull(c, said[:]); err != nil {
		return
	}
	switch said {
	case verbSend:
		for at := 0; ; {
			n, err := c.Write(pattern[at:])
			if err != nil {
				return
			}
			at = (at + n) % period
		}
	case verbTake:
		_ = json.NewEncoder(c).Encode(watch(c, settle, span))
		_, _ = io.Copy(io.Discard, c) // or what is unread would reset what was said
	case verbEcho:
		if tcp, ok := c.(*net.TCPConn); ok {
			echo(tcp)
			return
		}
		_, _ = io.Copy(c, c)
	}
}

// echo doesn't use io.Copy, which would splice: thousands of silent connections would
// take two pipes each.
func echo(c *net.TCPConn) {
	buf := make([]byte, 512)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// period is after how many bytes what is sent begins anew. No buffer on the way has a
// size that it divides, so a piece that is lost or twice there shows.
const period = 251

var pattern = func() []byte {
	b := make([]byte, period*260)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}()

// page answers /bytes/N with N bytes.
func page(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/bytes/"), 10, 64)
	if err != nil {
		http.Error(w, fmt.Sprintf("no page %.100q", r.URL.Path), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	for n > 0 {
		k, err := w.Write(pattern[:min(n, int64(len(pattern)))])
		if err != nil {
			return
		}
		n -= int64(k)
	}
}
