// Package flood is what a program in a sandbox does to exhaust the gate: names,
// connections, half-said words, memory. What it costs is measured on the host; here is only
// how far it got. Neighbour is the well-behaved program beside it.
package flood

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/attack/probes"
)

// A Report is how far a flood got.
type Report struct {
	Kind    string        `json:"kind"`
	Through int64         `json:"through"` // tries that got an answer, or a place
	Refused int64         `json:"refused"`
	Took    time.Duration `json:"took"`
	Control string        `json:"control,omitempty"` // why not even a few of it got through before
	After   string        `json:"after,omitempty"`   // or after
}

// A Flood is many times the same.
type Flood struct {
	What  string
	Times int
	Hold  bool // what is opened stays open until the end
	Once  func(n int) (held net.Conn, err error)
	Few   func() error // what must go before and after; nil is Once
}

// beside is how many tries are made at once.
const beside = 64

// Run floods, and says how far that got.
func Run(kind string) (Report, error) {
	f, ok := Floods()[kind]
	if kind == "tunnel" {
		f, ok = tunnel, true
	}
	if !ok {
		return Report{}, fmt.Errorf("no flood %q: %v", kind, Kinds())
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err == nil {
		l.Cur = l.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
	r := Report{Kind: kind, Control: f.wait()}
	start := time.Now()
	held := f.pour(&r)
	r.Took = time.Since(start)
	for _, c := range held {
		_ = c.Close()
	}
	r.After = f.wait()
	return r, nil
}

// wait tries a few until they get through: the gate lets go of what ended before.
func (f Flood) wait() string {
	for end := time.Now().Add(20 * time.Second); ; {
		err := f.few()
		if err == nil || time.Now().After(end) {
			return text(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// Kinds lists the floods.
func Kinds() []string { return slices.Sorted(maps.Keys(Floods())) }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (f Flood) few() error {
	if f.Few != nil {
		return f.Few()
	}
	c, err := f.Once(-1)
	if c != nil {
		_ = c.Close()
	}
	return err
}

func (f Flood) pour(r *Report) (held []net.Conn) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next atomic.Int64
	for range beside {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(f.Times); n = next.Add(1) {
				c, err := f.Once(int(n))
				if err != nil {
					atomic.AddInt64(&r.Refused, 1)
				} else {
					atomic.AddInt64(&r.Through, 1)
				}
				if c != nil && f.Hold {
					mu.Lock()
					held = append(held, c)
					mu.Unlock()
				} else if c != nil {
					_ = c.Close()
				}
			}
		})
	}
	wg.Wait()
	return held
}

// Floods are all there are, by name.
func Floods() map[string]Flood {
	echo := func() error { c, err := opened("echo.example", 7, "\x00hello", true); return closed(c, err) }
	look := func() error { _, err := asked("udp", "good.example.")(0); return err }
	web := func() error {
		c, err := opened("good.example", 80, "GET / HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n", true)
		return closed(c, err)
	}
	return map[string]Flood{
		"dns-names":     {What: "5 000 names that no rule allows", Times: 5000, Once: asked("udp", "%d.evil.example."), Few: look},
		"dns-wildcard":  {What: "5 000 names under a wildcard", Times: 5000, Once: asked("udp", "f%d.wild.example."), Few: look},
		"dns-tcp":       {What: "500 connections to the name server that say nothing", Times: 500, Hold: true, Once: idle, Few: func() error { _, err := asked("tcp", "good.example.")(0); return err }},
		"dns-pipelined": {What: "100 connections with 500 questions each", Times: 100, Once: pipelined, Few: func() error { _, err := asked("tcp", "good.example.")(0); return err }},
		"dns-noise":     {What: "20 000 packets that are no questions", Times: 20000, Once: noise, Few: look},
		"connections":   {What: "5 000 connections at once", Times: 5000, Hold: true, Once: func(int) (net.Conn, error) { return opened("echo.example", 7, "\x00hello", true) }},
		"churn":         {What: "3 000 connections one after the other, 64 at a time", Times: 3000, Once: func(int) (net.Conn, error) { return opened("echo.example", 7, "\x00hello", true) }},
		"half-hellos": {What: "1 500 hellos of TLS that never end", Times: 1500, Hold: true, Once: func(int) (net.Conn, error) {
			return opened("good.example", 443, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", false)
		}, Few: echo},
		"big-hellos":   {What: "1 000 of 60 KiB that never end", Times: 1000, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 443, bigHello, false) }, Few: echo},
		"half-heads":   {What: "1 500 requests whose head never ends", Times: 1500, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 80, "GET / HTTP/1.1\r\nHost: good", false) }, Few: web},
		"big-heads":    {What: "1 000 of 120 KiB that never end", Times: 1000, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 80, bigHead, false) }, Few: web},
		"many-fields":  {What: "300 heads of 20 000 fields that never end", Times: 300, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 80, manyFields, false) }, Few: web},
		"long-lines":   {What: "1 000 first lines of 15 KiB that never end", Times: 1000, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 8080, strings.Repeat("x", 15<<10), false) }, Few: echo},
		"silent":       {What: "1 500 connections that say nothing", Times: 1500, Hold: true, Once: func(int) (net.Conn, error) { return opened("good.example", 8443, "", false) }, Few: echo},
		"slow-readers": {What: "300 connections that read nothing of what they are sent", Times: 300, Hold: true, Once: unread, Few: echo},
		"switches": {What: "500 requests that become something else", Times: 500, Hold: true, Once: func(int) (net.Conn, error) {
			return opened("good.example", 80, "GET /upgrade HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true)
		}},
		"udp-sources": {What: "2 000 sources of datagrams", Times: 2000, Hold: true, Once: datagram, Few: look},
		"refusals":    {What: "20 000 connections that are refused", Times: 20000, Once: refused, Few: echo},
		"refused-hosts": {What: "3 000 requests to a host that isn't the name's", Times: 3000, Once: func(n int) (net.Conn, error) {
			return opened("good.example", 80, fmt.Sprintf("GET / HTTP/1.1\r\nHost: h%d.evil.example\r\n\r\n", n), true)
		}, Few: web},
	}
}

var (
	bigHello   = "\x16\x03\x01\x40\x00\x01\x00\xf0\x00\x03\x03" + strings.Repeat("\x00", 0x4000-6) + strings.Repeat("\x16\x03\x01\x40\x00"+strings.Repeat("\x00", 0x4000), 2) + "\x16\x03\x01\x40\x00" + strings.Repeat("\x00", 0x2000)
	bigHead    = "GET / HTTP/1.1\r\nHost: good.example\r\nX: " + strings.Repeat("x", 120<<10)
	manyFields = "GET / HTTP/1.1\r\nHost: good.example\r\n" + strings.Repeat("x:\r\n", 20000)
)

// patience is for a machine with much else to do.
const patience = 10 * time.Second

// known are the addresses of the few names that are connected to.
var known sync.Map

func address(name string) (string, error) {
	if a, ok := known.Load(name); ok {
		return a.(string), nil
	}
	r, err := exchange("udp", dns.Fqdn(name), patience)
	if err != nil {
		return "", err
	}
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			known.Store(name, a.A.String())
			return a.A.String(), nil
		}
	}
	return "", errors.New("no such name")
}

// exchange asks the gate. A flood doesn't wait long for what was dropped.
func exchange(network, name string, within time.Duration) (*dns.Msg, error) {
	r, _, err := (&dns.Client{Net: network, Timeout: within}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), "8.8.8.8:53")
	return r, err
}

func closed(c net.Conn, err error) error {
	if c != nil {
		_ = c.Close()
	}
	return err
}

// opened connects to a name, says something, and waits for an answer if it wants one.
func opened(name string, port int, say string, answer bool) (net.Conn, error) {
	at, err := address(name)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", at, port), patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err = c.Write([]byte(say)); err == nil && answer {
		_, err = c.Read(make([]byte, 1))
	}
	return c, err
}

func asked(network, name string) func(int) (net.Conn, error) {
	return func(n int) (net.Conn, error) {
		name := name
		if strings.Contains(name, "%d") {
			name = fmt.Sprintf(name, n)
		}
		r, err := exchange(network, name, patience/20)
		if err == nil && r.Rcode != dns.RcodeSuccess {
			err = errors.New(dns.RcodeToString[r.Rcode])
		}
		if err == nil && strings.Contains(r.String(), "\t198.19.") {
			err = errors.New("refused")
		}
		return nil, err
	}
}

func idle(int) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", "8.8.8.8:53", patience)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte{0})
	return c, err
}

func pipelined(n int) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", "8.8.8.8:53", patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() {
		conn := &dns.Conn{Conn: c}
		for i := range 500 {
			if conn.WriteMsg(new(dns.Msg).SetQuestion(fmt.Sprintf("%d.%d.evil.example.", n, i), dns.TypeTXT)) != nil {
				return
			}
		}
	}()
	conn := &dns.Conn{Conn: c}
	for range 500 {
		if _, err := conn.ReadMsg(); err != nil {
			return c, err
		}
	}
	return c, nil
}

func noise(int) (net.Conn, error) {
	c, err := net.Dial("udp", "8.8.8.8:53")
	if err != nil {
		return nil, err
	}
	b := make([]byte, 512)
	_, _ = rand.Read(b)
	_, err = c.Write(b)
	return c, err
}

// unread sends 1 MiB to a server that sends it back, and reads nothing of it.
func unread(int) (net.Conn, error) {
	c, err := opened("echo.example", 7, "\x00", true)
	if err != nil {
		return c, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.Write(make([]byte, 1<<20)) // until nobody takes any more
	return c, nil
}

func datagram(int) (net.Conn, error) {
	c, err := net.Dial("udp", probes.Datagram+":4500")
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience / 40))
	if _, err = c.Write([]byte("x")); err == nil {
		_, err = c.Read(make([]byte, 64))
	}
	return c, err
}

func refused(n int) (net.Conn, error) {
	return net.DialTimeout("tcp", fmt.Sprintf("%s:%d", probes.Attacker, 10000+n%20000), patience)
}
