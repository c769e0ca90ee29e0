package relay

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// A protocol is what the first bytes of a client look like.
type protocol string

const (
	tlsHello     protocol = "TLS"
	httpRequest  protocol = "HTTP"
	http2Preface protocol = "HTTP/2"
	something    protocol = "neither TLS nor HTTP"
	nothing      protocol = "nothing"
	undecided    protocol = ""
)

// maxLine is the longest request line that is waited for, in bytes.
const maxLine = peekBuffer - 1

// sniff waits for enough bytes to know the protocol, and takes none of them.
func (t *talk) sniff(within time.Duration) (protocol, error) {
	if err := t.client.SetReadDeadline(time.Now().Add(within)); err != nil {
		return undecided, err
	}
	for n := 1; ; n = t.in.Buffered() + 1 {
		if n > maxLine {
			return httpRequest, nil // a line of text without an end: the HTTP server refuses it
		}
		_, err := t.in.Peek(n)
		head, _ := t.in.Peek(t.in.Buffered())
		if p := recognise(head); p != undecided {
			return p, nil
		}
		if errors.Is(err, io.EOF) { // that was all it has to say
			if len(head) == 0 {
				return nothing, nil
			}
			return something, nil
		}
		if err != nil {
			return undecided, err
		}
	}
}

// recognise tells a protocol by its first bytes. It errs towards HTTP, whose
// hosts are then checked, as servers are lenient in what they take for it.
func recognise(b []byte) protocol {
	if len(b) == 0 {
		return undecided
	}
	if b[0] == 0x16 { // a handshake record; RFC 8446 section 5.1
		return tlsHello
	}
	b = bytes.TrimLeft(b, "\r\n")
	line, _, whole := bytes.Cut(b, []byte("\n"))
	line = bytes.ToUpper(bytes.TrimRight(line, "\r"))
	switch {
	case bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' }):
		return something
	case whole && bytes.HasPrefix(line, []byte("PRI * HTTP/2")):
		return http2Preface
	case whole && (bytes.Contains(line, []byte("HTTP/")) || hasMethod(line)):
		return httpRequest
	case whole:
		return something
	}
	return undecided
}

func hasMethod(line []byte) bool {
	word, _, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return len(word) < len(line)
	}
	return false
}
