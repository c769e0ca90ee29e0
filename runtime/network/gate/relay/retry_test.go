package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// inRecords cuts a message into records of some bytes.
func inRecords(message []byte, size int) []byte {
	var out []byte
	for len(message) > 0 {
		n := min(size, len(message))
		out = append(append(out, recordHandshake, 3, 3, 0, byte(n)), message[:n]...)
		message = message[n:]
	}
	return out
}

func TestServerAsksForAnotherHello(t *testing.T) {
	retry := append([]byte{messageHello, 0, 0, 80, 3, 3}, retryRandom...)
	retry = append(retry, make([]byte, 46)...)
	hello := append([]byte{messageHello, 0, 0, 80, 3, 3}, bytes.Repeat([]byte{7}, 78)...)
	warning, fatal := []byte{recordAlert, 3, 3, 0, 2, 1, 112}, []byte{recordAlert, 3, 3, 0, 2, 2, 40}
	for what, c := range map[string]struct {
		said  []byte
		asked bool
	}{
		"it does":              {inRecords(retry, 200), true},
		"in small records":     {inRecords(retry, 3), true},
		"after a warning":      {append(bytes.Clone(warning), inRecords(retry, 200)...), true},
		"with more behind it":  {append(inRecords(retry, 200), recordChange, 3, 3, 0, 1, 1), true},
		"it answers":           {inRecords(hello, 200), false},
		"in small records, no": {inRecords(hello, 3), false},
		"it refuses":           {fatal, false},
		"another message":      {inRecords(append([]byte{11}, retry[1:]...), 200), false},
		"half a record":        {inRecords(retry, 200)[:20], false},
		"no TLS":               {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false},
		"nothing":              {nil, false},
	} {
		near, far := net.Pipe()
		go func() { _, _ = far.Write(c.said); _ = far.Close() }()
		said, asked, err := readAnswer(near)
		rest, _ := io.ReadAll(near)
		if err != nil || asked != c.asked || !bytes.Equal(append(said, rest...), c.said) {
			t.Errorf("%s: asked %v, %x, %v", what, asked, said, err)
		}
	}
}
