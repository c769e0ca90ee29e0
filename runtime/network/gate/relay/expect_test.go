package relay

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestExpectBesideHints: net/http writes a 100 when the body is asked for, and a 103 when
// the server sends one, from two goroutines into the same buffer.
func TestExpectBesideHints(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("a", 4000) + "\r\n\r\n"
	asked := asking{"POST / HTTP/1.1\r\nHost: good.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", []string{"POST"}}
	broken := 0
	for range 1000 {
		synctest.Test(t, func(t *testing.T) {
			heard := relayed(t, func(c half) {
				in := bufio.NewReader(c)
				if _, err := readHead(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, hints+hints)
				_, _ = io.ReadFull(in, make([]byte, 3))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}, []byte(asked.said))
			if err := asked.judged(heard); err != nil || !bytes.HasSuffix(heard, []byte("\r\n\r\nok")) || bytes.Count(heard, []byte("HTTP/1.1 103 ")) != 2 || !bytes.Contains(heard, []byte("HTTP/1.1 100 ")) {
				broken++
			}
		})
	}
	if broken > 0 {
		t.Errorf("%d answers are broken", broken)
	}
}
