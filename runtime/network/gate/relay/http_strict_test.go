package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// This is HTTP/1.1 as RFC 9110 and 9112 have it, and nothing that some server or
// another takes besides: what is ambiguous for it may be read in two ways.

// A head is a request or an answer up to its body.
type head struct {
	line   string
	fields []field
}

type field struct{ name, value string } // the name in lower case

// all are the values of the fields of a name.
func (h head) all(name string) (values []string) {
	for _, f := range h.fields {
		if f.name == name {
			values = append(values, f.value)
		}
	}
	return values
}

// errCut is a message that has no end: it was given up.
var errCut = errors.New("the message is cut off")

// readHead reads until the empty line; io.EOF is a clean end before it.
func readHead(in *bufio.Reader) (h head, err error) {
	if h.line, err = readLine(in); err != nil {
		if errors.Is(err, errCut) && h.line == "" {
			err = io.EOF
		}
		return h, err
	}
	h.fields, err = readFields(in)
	return h, err
}

// readLine reads to CRLF, which alone ends a line.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return line, errCut
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return line, fmt.Errorf("a control character in %q", line)
	}
	return line, nil
}

func readFields(in *bufio.Reader) (all []field, err error) {
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return all, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) { // a blank before the colon, a folded line
			return all, fmt.Errorf("no field: %q", line)
		}
		all = append(all, field{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

// readBody reads what belongs to a head. None is whether there is no body whatever the
// fields say; answer whether it goes on to the end if they say nothing, and may have what
// it likes in its trailer.
func readBody(in *bufio.Reader, h head, none, answer bool) (body []byte, err error) {
	lengths, codings := h.all("content-length"), h.all("transfer-encoding")
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return nil, errors.New("both Content-Length and Transfer-Encoding")
	case len(lengths) > 1 || len(codings) > 1:
		return nil, fmt.Errorf("a field that comes once: %q %q", lengths, codings)
	case len(codings) == 1 && codings[0] != "chunked":
		return nil, fmt.Errorf("Transfer-Encoding: %q", codings[0])
	case len(lengths) == 1 && !isNumber(lengths[0], 10):
		return nil, fmt.Errorf("Content-Length: %q", lengths[0])
	case none:
		return nil, nil
	case len(codings) == 1:
		return readChunks(in, answer)
	case len(lengths) == 1:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil {
			return nil, err
		}
		return readExactly(in, n)
	case answer:
		return io.ReadAll(in)
	}
	return nil, nil
}

func readExactly(in *bufio.Reader, n uint64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(in, int64(min(n, 1<<62))))
	if err != nil || uint64(len(body)) < n {
		return body, errCut
	}
	return body, nil
}

// readChunks reads chunks without extensions, and a trailer. That of a request says
// nothing of how it is read, or to whom it goes; RFC 9110 section 6.5.1.
func readChunks(in *bufio.Reader, answer bool) (body []byte, err error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return body, err
		}
		if !isNumber(line, 16) {
			return body, fmt.Errorf("a chunk of %q", line)
		}
		n, err := strconv.ParseUint(line, 16, 63)
		if err != nil {
			return body, err
		}
		if n == 0 {
			break
		}
		part, err := readExactly(in, n)
		if body = append(body, part...); err != nil {
			return body, err
		}
		if line, err := readLine(in); err != nil || line != "" {
			return body, errors.Join(err, errors.New("a chunk is longer than it says"))
		}
	}
	trailer, err := readFields(in)
	for _, f := range trailer {
		if answer {
			break
		}
		switch f.name {
		case "host", "content-length", "transfer-encoding", "trailer", "connection", "upgrade", "te", "expect", "authorization":
			return body, fmt.Errorf("%s in a trailer", f.name)
		}
	}
	return body, err
}

func isNumber(s string, base int) bool {
	return s != "" && !strings.ContainsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < '0' || r > '9') && (base == 10 || r < 'a' || r > 'f')
	})
}
