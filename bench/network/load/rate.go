package load

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"
)

// A rate is watched for a span, behind a time in which buffers fill.
const (
	settle = 2 * time.Second
	span   = 5 * time.Second
)

// Down is the rate at which one connection brings bytes.
func (t *Target) Down() Result {
	c, err := t.dial()
	if err != nil {
		return Result{Failed: 1, Why: err.Error()}
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(verbSend[:]); err != nil {
		return Result{Failed: 1, Why: err.Error()}
	}
	return watch(c, settle, span)
}

// Up is the rate at which one connection takes bytes away, as the server saw it.
func (t *Target) Up() (r Result) {
	c, err := t.dial()
	if err != nil {
		return Result{Failed: 1, Why: err.Error()}
	}
	defer func() { _ = c.Close() }()
	if _, err = c.Write(verbTake[:]); err == nil {
		go func() {
			for {
				if _, err := c.Write(pattern); err != nil {
					return
				}
			}
		}()
		err = json.NewDecoder(c).Decode(&r)
	}
	if err != nil {
		return Result{Failed: 1, Why: err.Error()}
	}
	return r
}

// watch reads, and measures after the settling.
func watch(c net.Conn, settle, span time.Duration) (r Result) {
	buf := make([]byte, 64<<10)
	begin := time.Now().Add(settle)
	for last := begin; ; {
		n, err := c.Read(buf)
		now := time.Now()
		if now.After(begin) {
			r.Bytes += int64(n)
			r.Widest, last = max(r.Widest, now.Sub(last)), now
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Result{Failed: 1, Why: err.Error()}
		}
		if r.Took = now.Sub(begin); r.Took >= span || err != nil {
			break
		}
	}
	r.Count, r.BitRate = 1, float64(r.Bytes)*8/r.Took.Seconds()
	return r
}
