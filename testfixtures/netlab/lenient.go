package netlab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// lenient is one way to misread HTTP.
type lenient struct {
	te      bool // chunks count before a length
	journal *Journal
}

// serve answers requests until the client ends. It never refuses one.
func (s lenient) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, head, err := readHead(r)
		if err != nil {
			return
		}
		host := target(line, head["host"])
		body, err := s.body(r, head)
		_, _ = fmt.Fprintf(s.journal, "\nrequest for %s: %s\nbody: %s\n", host, strings.TrimSpace(line), body)
		answer := "lenient " + host + " " + line
		if _, werr := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer); werr != nil || err != nil {
			return
		}
	}
}

// readHead reads lines up to an empty one. A bare LF ends one, white space is
// trimmed, and a line that begins with a blank goes on with the last. The last field of
// a name counts, but for Host, of which all do.
func readHead(r *bufio.Reader) (line string, head map[string]string, err error) {
	head = map[string]string{}
	for line == "" {
		if line, err = r.ReadString('\n'); err != nil {
			return strings.TrimRight(line, "\r\n"), head, err
		}
		line = strings.Trim(line, "\r\n")
	}
	last := ""
	for range 1000 {
		raw, err := r.ReadString('\n')
		text := strings.TrimRight(raw, "\r\n")
		if text == "" || err != nil {
			return line, head, err
		}
		if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") {
			head[last] += " " + strings.TrimSpace(text)
			continue
		}
		name, value, _ := strings.Cut(text, ":")
		last = strings.ToLower(name)
		value = strings.TrimSpace(value)
		if old, ok := head[last]; ok && last == "host" { // both are somebody's choice
			value = old + " " + value
		}
		head[last] = value
	}
	return line, head, nil
}

// target is the host that a request is for: that of its line, if it has one, else Host.
func target(line, host string) string {
	words := strings.Fields(line)
	if len(words) > 1 {
		if _, rest, ok := strings.Cut(words[1], "//"); ok {
			host, _, _ = strings.Cut(rest, "/")
		} else if words[0] == "CONNECT" {
			host = words[1]
		}
	}
	return host
}

func (s lenient) body(r *bufio.Reader, head map[string]string) (string, error) {
	chunked := strings.Contains(head["transfer-encoding"], "chunked")
	length, sized := head["content-length"]
	n, _ := strconv.Atoi(length)
	if chunked && (s.te || !sized) {
		return readChunks(r)
	}
	body := make([]byte, min(max(n, 0), 1<<20))
	got, err := io.ReadFull(r, body)
	return string(body[:got]), err
}

func readChunks(r *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return all.String(), err
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, _ := strconv.ParseUint(digits, 16, 20)
		chunk := make([]byte, n)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return all.String(), err
		}
		all.Write(chunk)
		if _, err := r.ReadString('\n'); err != nil || n == 0 {
			return all.String(), err
		}
	}
}
