package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Bulk reads as much as it can through so many connections.
func (t *Target) Bulk(conns int, d time.Duration) Result {
	c := collect()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			n, err := t.drink(end)
			c.note(0, err)
			c.add(n)
		})
	}
	wg.Wait()
	return c.result()
}

// drink reads through one connection.
func (t *Target) drink(end time.Time) (n int64, err error) {
	c, err := t.dial()
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	in, err := t.ask(c, 1<<40)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 128<<10)
	for time.Now().Before(end) {
		k, err := in.Read(buf)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// ask has the server send.
func (t *Target) ask(c net.Conn, n int64) (io.Reader, error) {
	if t.Proto != HTTP {
		_, err := c.Write(verbSend[:])
		return c, err
	}
	return get(c, bufio.NewReader(c), n)
}

func get(c net.Conn, in *bufio.Reader, n int64) (io.Reader, error) {
	if _, err := fmt.Fprintf(c, "GET /bytes/%d HTTP/1.1\r\nHost: %s\r\n\r\n", n, Name); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(in, nil) //nolint:bodyclose // the body ends with the connection, which the caller closes
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server says %s", r.Status)
	}
	return r.Body, nil
}

// Churn makes connections one after another, so many at once, each for a byte both ways.
func (t *Target) Churn(workers int, d time.Duration) Result {
	c := collect()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				err := t.once()
				c.note(time.Since(start), err)
			}
		})
	}
	wg.Wait()
	return c.result()
}

// once connects, says a byte, hears it and ends.
func (t *Target) once() error {
	e, err := t.open()
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	return e.turn()
}

// Trip measures the way there and back through one connection.
func (t *Target) Trip(d time.Duration) Result {
	c := collect()
	e, err := t.open()
	if err != nil {
		c.note(0, err)
		return c.result()
	}
	defer func() { _ = e.Close() }()
	for end := time.Now().Add(d); err == nil && time.Now().Before(end); {
		start := time.Now()
		err = e.turn()
		c.note(time.Since(start), err)
	}
	return c.result()
}

// An exchange is a connection on which a byte comes back for each that is sent.
type exchange struct {
	net.Conn
	in    *bufio.Reader // of HTTP
	begun bool
}

func (t *Target) open() (*exchange, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	e := &exchange{Conn: c}
	if t.Proto == HTTP {
		e.in = bufio.NewReader(c)
	}
	return e, nil
}

func (e *exchange) turn() error {
	_ = e.SetDeadline(time.Now().Add(dialWithin))
	if e.in != nil {
		body, err := get(e, e.in, 1)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		return err
	}
	said, heard := append(slices.Clone(verbEcho[:]), 'x'), make([]byte, 1)
	if e.begun {
		said = said[len(verbEcho):]
	}
	e.begun = true
	if _, err := e.Write(said); err != nil {
		return err
	}
	if _, err := io.ReadFull(e, heard); err != nil {
		return err
	}
	if heard[0] != 'x' {
		return fmt.Errorf("sent x, heard %q", heard)
	}
	return nil
}

// A collector counts for several goroutines.
type collector struct {
	mu    sync.Mutex
	start time.Time
	cpu   time.Duration
	times []time.Duration
	Result
}

func collect() *collector { return &collector{start: time.Now(), cpu: used()} }

func (c *collector) note(d time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.Failed++
		if c.Why == "" {
			c.Why, c.Whys = err.Error(), map[string]int{}
		}
		c.Whys[kindOf(err)]++
		return
	}
	c.Count++
	c.times = append(c.times, d)
}

func (c *collector) add(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Bytes += bytes
}

func (c *collector) result() Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Took, c.CPU = time.Since(c.start), used()-c.cpu
	slices.Sort(c.times)
	if n := len(c.times); n > 0 {
		c.P50, c.P99, c.Max = c.times[n/2], c.times[n*99/100], c.times[n-1]
	}
	return c.Result
}

// kindOf is what went wrong without addresses, which are others each time.
func kindOf(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("nothing came within %v", dialWithin)
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
