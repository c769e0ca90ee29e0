package relay

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
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
	line, _, whole := bytes.Cut(bytes.TrimLeft(b, "\r\n"), []byte("\n"))
	word, ended := firstWord(line)
	upper := bytes.ToUpper(line)
	switch {
	case slices.ContainsFunc(line, control) && slices.ContainsFunc(word, notLetter):
		return something // it can't become a request line
	case !whole:
		return undecided
	case bytes.HasPrefix(upper, []byte("PRI * HTTP/2")):
		return http2Preface
	case bytes.Contains(upper, []byte("HTTP/")) || ended && isMethod(word):
		return httpRequest
	}
	return something
}

// firstWord is the first word of a line as far as it is there, and whether it
// has ended.
func firstWord(line []byte) (word []byte, ended bool) {
	start := slices.IndexFunc(line, func(c byte) bool { return !blank(c) })
	if start < 0 {
		return nil, false
	}
	line = line[start:]
	if end := slices.IndexFunc(line, blank); end >= 0 {
		return line[:end], true
	}
	return line, false
}

// blanks are what one server or another takes for white space in a request
// line; Python's splits it as Latin-1.
const blanks = " \t\v\f\r\x1c\x1d\x1e\x1f\x85\xa0"

func blank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

func control(c byte) bool { return c < ' ' && !blank(c) }

func notLetter(c byte) bool { return c|0x20 < 'a' || c|0x20 > 'z' }

func isMethod(word []byte) bool {
	switch strings.ToUpper(string(word)) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}
