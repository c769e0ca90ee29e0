package clients

import (
	"bufio"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it so
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// big is the size of a large body, in bytes.
const big = 10 << 20

// site is what all web servers of the test answer.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello from %s", r.Host) })
	mux.HandleFunc("/connection", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	mux.Handle("/redirect", http.RedirectHandler("https://"+otherName+"/hello", http.StatusFound))
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(big))
		w.Write(make([]byte, big))
	})
	mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "took %d", n)
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "small")
		z.Close()
	})
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		each(w, r, 5, "chunk %d\n")
		w.Header().Set("X-End", "yes")
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		each(w, r, 5, "data: event %d\n\n")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { each(w, r, 1<<30, "line %d\n") })
	mux.HandleFunc("/socket", socket)
	return mux
}

// each says n lines, some time apart.
func each(w http.ResponseWriter, r *http.Request, n int, format string) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		fmt.Fprintf(w, format, i)
		http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// socket is a websocket that echoes messages of up to 125 bytes; RFC 6455.
func socket(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "HTTP/1.1 only", http.StatusHTTPVersionNotSupported)
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	for {
		op, message, err := frame(rw.Reader)
		if err != nil {
			return
		}
		c.Write(append([]byte{0x80 | op, byte(len(message))}, message...))
		if op == 8 { // close
			return
		}
	}
}

func frame(r *bufio.Reader) (op byte, message []byte, err error) {
	var head struct {
		Op, Size byte
		Mask     [4]byte
	}
	if err := binary.Read(r, binary.BigEndian, &head); err != nil {
		return 0, nil, err
	}
	message = make([]byte, min(head.Size&0x7f, 125))
	_, err = io.ReadFull(r, message)
	for i := range message {
		message[i] ^= head.Mask[i%4]
	}
	return head.Op & 0x0f, message, err
}
