package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// atOnce is how many connections are made at the same time.
const atOnce = 64

// Hold opens n connections and has a byte come back on each. Then it says so, waits
// for what to be readable, and has another come back on each.
func (t *Target) Hold(n int, say func(Result), what io.Reader) Result {
	made := collect()
	all := make([]*exchange, n)
	each(n, func(i int) {
		start := time.Now()
		e, err := t.open()
		if err == nil {
			err = e.turn()
			all[i] = e
		}
		made.note(time.Since(start), err)
	})
	say(made.result())
	_, _ = what.Read(make([]byte, 1))
	alive := collect()
	each(n, func(i int) {
		start, err := time.Now(), errors.New("it was never open")
		if all[i] != nil {
			err = all[i].turn()
			_ = all[i].Close()
		}
		alive.note(time.Since(start), err)
	})
	return alive.result()
}

// each calls f for 0 to n-1, some at once.
func each(n int, f func(int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// Pace makes so many connections a second, each for a byte both ways, whether or not
// those before are done.
func (t *Target) Pace(rate int, d time.Duration) Result {
	const step = 5 * time.Millisecond
	c := collect()
	var wg sync.WaitGroup
	tick := time.NewTicker(step)
	defer tick.Stop()
	begun, all := 0, int(float64(rate)*d.Seconds())
	for begun < all {
		now := <-tick.C
		for due := min(all, int(now.Sub(c.start).Seconds()*float64(rate))); begun < due; begun++ {
			wg.Go(func() {
				start := time.Now()
				err := t.once()
				c.note(time.Since(start), err)
			})
		}
	}
	wg.Wait()
	return c.result()
}

// Slow reads through n connections, a KiB each tenth of a second, and looks that no
// byte is missing.
func (t *Target) Slow(n int, d time.Duration) Result {
	c := collect()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			got, err := t.sip(end)
			c.note(0, err)
			c.add(got)
		})
	}
	wg.Wait()
	return c.result()
}

func (t *Target) sip(end time.Time) (got int64, err error) {
	c, err := t.dial()
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(verbSend[:]); err != nil {
		return 0, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 1024)
	for now := range tick.C {
		if now.After(end) {
			break
		}
		n, err := c.Read(buf)
		for i, b := range buf[:n] {
			if want := byte((got + int64(i)) % period); b != want {
				return got, fmt.Errorf("byte %d is %d, want %d", got+int64(i), b, want)
			}
		}
		got += int64(n)
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// shutBytes is how much goes through a connection that is shut for writing.
const shutBytes = 256 << 10

// Shut sends through n connections at once, again and again, says that nothing more
// comes, and looks that all of it comes back nevertheless.
func (t *Target) Shut(n int, d time.Duration) Result {
	c := collect()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				got, err := t.mirror(shutBytes)
				c.note(time.Since(start), err)
				c.add(got)
			}
		})
	}
	wg.Wait()
	return c.result()
}

// mirror sends n bytes, shuts its side and reads until the other one does.
func (t *Target) mirror(n int) (got int64, err error) {
	conn, err := t.dial()
	if err != nil {
		return 0, err
	}
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("%T can't be shut for writing", conn)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(dialWithin))
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(i % period)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(append(verbEcho[:], all...))
		sent <- errors.Join(err, c.CloseWrite())
	}()
	back, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil {
		return int64(len(back)), err
	}
	if !bytes.Equal(back, all) {
		return int64(len(back)), fmt.Errorf("%d bytes came back of %d, or others", len(back), n)
	}
	return int64(len(back)), nil
}

// Half begins n hellos of TLS and never ends them. It counts those that the other side
// ends: nobody shall keep them for ever.
func (t *Target) Half(n int, within time.Duration) Result {
	c := collect()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			start := time.Now()
			err := t.begin(within)
			c.note(time.Since(start), err)
		})
	}
	wg.Wait()
	return c.result()
}

func (t *Target) begin(within time.Duration) error {
	plain := &Target{Proto: TCP, At: t.At}
	c, err := plain.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err = c.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("it is still open")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return nil
	}
	return err
}

var _ net.Conn = (*exchange)(nil)
