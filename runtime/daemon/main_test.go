package daemon

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestServersWriteNoLog: a server that sends more than an answer has it in no log.
func TestServersWriteNoLog(t *testing.T) {
	var written bytes.Buffer
	log.SetOutput(&written)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	if unasked(t); !strings.Contains(written.String(), "Unsolicited") {
		t.Fatalf("control: %q", written.String())
	}
	written.Reset()
	hush()
	if unasked(t); written.Len() > 0 {
		t.Errorf("written: %q", &written)
	}
}

// unasked has net/http read an answer and what the server sends behind it.
func unasked(t *testing.T) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+strings.Repeat("x", 1000))
		_, _ = far.Read(make([]byte, 1)) // until the transport closes it
	}()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	resp, err := (&http.Client{Transport: transport}).Get("http://good.example/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	<-done
}
