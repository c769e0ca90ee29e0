package gate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/denial"
)

func webRule(ports ...uint16) network.Egress {
	return network.Egress{Name: "web", Domains: []string{"good.example"}, Ports: ports}
}

// get makes one request over a connection of its own and returns the body.
func get(c net.Conn, host, path string) (string, error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host); err != nil {
		return "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r.Body)
	return strings.TrimSpace(string(b)), err
}

func (s *sandbox) tls(c net.Conn, sni string) (*tls.Conn, error) {
	t := tls.Client(c, &tls.Config{ServerName: sni, RootCAs: internet.Authority.Pool, InsecureSkipVerify: sni == ""})
	return t, t.Handshake()
}

func TestTLS(t *testing.T) {
	s := up(t, webRule(443))
	c, err := s.connect("good.example", "443")
	if err != nil {
		t.Fatal(err)
	}
	tc, err := s.tls(c, "good.example")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(tc, "good.example", "/x"); err != nil || got != "https good.example /x" {
		t.Fatalf("control: %q, %v", got, err)
	}
	for sni, reason := range map[string]string{"other.example": `names "other.example" (SNI)`, "": "names no host (SNI)"} {
		t.Run("SNI "+sni, func(t *testing.T) {
			c, err := s.connect("good.example", "443")
			if err != nil {
				t.Fatal(err)
			}
			err = atOnce(t, "refusal", func() error { _, err := s.tls(c, sni); return err })
			if !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%v, want reset", err)
			}
			s.denied("good.example:443", reason)
		})
	}
	t.Run("not TLS", func(t *testing.T) {
		c, err := s.connect("good.example", "443")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(c, "good.example", "/"); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%q, %v; want reset", got, err)
		}
	})
	t.Run("upper case SNI", func(t *testing.T) {
		c, err := s.connect("good.example", "443")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.tls(c, "GOOD.example"); err != nil {
			t.Error(err)
		}
	})
	t.Run("split ClientHello", func(t *testing.T) {
		c, err := s.connect("good.example", "443")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.tls(dribble{c}, "good.example"); err != nil {
			t.Error(err)
		}
	})
	if n := len(internet.https.Seen()); n != 1 {
		t.Errorf("the server answered %d requests, want the control's", n)
	}
}

// dribble writes three bytes at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += 3 {
		if n, err := d.Conn.Write(p[i:min(i+3, len(p))]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}

func TestHTTPHost(t *testing.T) {
	s := up(t, webRule(80, 8080))
	for _, port := range []string{"80", "8080"} {
		suffix := ""
		if port != "80" {
			suffix = ":" + port
		}
		for _, ok := range []string{"good.example" + suffix, "GOOD.example:" + port, "good.example"} {
			c, err := s.connect("good.example", port)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := get(c, ok, "/p"); err != nil || got != "http "+ok+" /p" {
				t.Errorf("control %s: %q, %v", ok, got, err)
			}
		}
		for what, raw := range map[string]string{
			"other host":       "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
			"other port":       "GET / HTTP/1.1\r\nHost: good.example:81\r\n\r\n",
			"no host":          "GET / HTTP/1.0\r\n\r\n",
			"absolute form":    "GET http://other.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n",
			"tunnel":           "CONNECT good.example:" + port + " HTTP/1.1\r\nHost: good.example:" + port + "\r\n\r\n",
			"kelvin":           "GET / HTTP/1.1\r\nHost: \u212a.example\r\n\r\n",
			"HTTP/2":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			"odd upgrade":      "GET / HTTP/1.1\r\nHost: good.example" + suffix + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
			"lower case proto": "GET / http/1.1\r\nHost: other.example\r\n\r\n",
			"odd method":       "FOO / HTTP/1.1\r\nHost: other.example\r\n\r\n",
			"blank line first": "\r\nGET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
			"two hosts":        "GET / HTTP/1.1\r\nHost: good.example" + suffix + "\r\nHost: other.example\r\n\r\n",
		} {
			t.Run(what+" "+port, func(t *testing.T) {
				seen := len(internet.http.Seen())
				c, err := s.connect("good.example", port)
				if err != nil {
					t.Fatal(err)
				}
				var answer []byte
				err = atOnce(t, "refusal", func() error {
					if _, err := io.WriteString(c, raw); err != nil {
						return err
					}
					answer, err = io.ReadAll(c)
					return err
				})
				if !errors.Is(err, unix.ECONNRESET) && !strings.HasPrefix(string(answer), "HTTP/1.1 400") && !strings.HasPrefix(string(answer), "HTTP/1.1 403") && !strings.HasPrefix(string(answer), "HTTP/1.0 403") {
					t.Errorf("%q, %v", answer, err)
				}
				if now := len(internet.http.Seen()); port == "80" && now != seen {
					t.Errorf("the server saw %q", internet.http.Seen()[seen:])
				}
			})
		}
	}
	s.denied("good.example:80", `for "other.example" (Host)`)
}

func TestSecondRequestIsChecked(t *testing.T) {
	s := up(t, webRule(80))
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for i := range 2 {
		if _, err := io.WriteString(c, "POST /kept HTTP/1.1\r\nHost: good.example\r\nContent-Length: 4\r\n\r\nbody"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "http good.example /kept\nbody" {
			t.Fatalf("request %d: %q, %v", i+1, b, err)
		}
	}
	if _, err := io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusForbidden || !resp.Close {
		t.Errorf("%v, %v; want 403 and an end", resp, err)
	}
	if _, err := io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: good.example\r\n\r\n"); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
	for _, line := range internet.http.Seen() {
		if strings.Contains(line, "smuggled") {
			t.Errorf("the server saw %q", line)
		}
	}
}

func TestWebsocket(t *testing.T) {
	s := up(t, webRule(80))
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /upgrade HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	if _, err := io.WriteString(c, "ping"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "ping" {
		t.Errorf("%q, %v", buf, err)
	}
}

func TestOtherProtocols(t *testing.T) {
	s := up(t, webRule(7, 25, 8443), network.Egress{Name: "mail", Domains: []string{"mail.example"}, Ports: []uint16{25}})
	t.Run("client first", func(t *testing.T) {
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, "\x00\x01binary"); err != nil {
			t.Error(err)
		}
	})
	t.Run("server first", func(t *testing.T) {
		c, err := s.connect("mail.example", "25")
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || line != "220 hello\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := echoes(c, "EHLO\r\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("silence, then HTTP to another host", func(t *testing.T) {
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond) // longer than the relay waits for the first word
		if got, err := get(c, "other.example", "/"); !strings.Contains(got, `for "other.example" (Host)`) {
			t.Errorf("%q, %v; want why", got, err)
		}
	})
	t.Run("silence, then a word", func(t *testing.T) {
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		if err := echoes(c, "hello\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("TLS", func(t *testing.T) {
		c, err := s.connect("good.example", "8443")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.tls(c, "good.example"); err != nil {
			t.Errorf("control: %v", err)
		}
		if c, err = s.connect("good.example", "8443"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.tls(c, "other.example"); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%v, want reset", err)
		}
	})
	t.Run("half close", func(t *testing.T) {
		c, err := s.connect("good.example", "7")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "last words\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "last words\n" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestRefusedAddresses(t *testing.T) {
	s := up(t, webRule(80, 443, 53), network.Egress{Name: "db", CIDRs: []string{database + "/32"}, Ports: []uint16{5432}})
	c, err := s.dial("tcp", database+":5432")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "select 1"); err != nil {
		t.Fatalf("control: %v", err)
	}
	synthetic := s.lookup("good.example")
	refused := s.lookup("other.example")
	for _, a := range []struct {
		network, addr string
		want          error
	}{
		{"tcp", web + ":443", unix.ECONNREFUSED},                                     // raw, though a name leads there
		{"tcp", metadata + ":80", unix.ECONNREFUSED},                                 //
		{"tcp", database + ":5433", unix.ECONNREFUSED},                               // other port
		{"tcp", "10.20.0.6:5432", unix.ECONNREFUSED},                                 // neighbour
		{"udp", database + ":5432", unix.EPERM},                                      // other protocol
		{"tcp", net.JoinHostPort(synthetic, "22"), unix.ECONNREFUSED},                // other port of a name
		{"udp", net.JoinHostPort(synthetic, "443"), unix.EPERM},                      // QUIC
		{"tcp", net.JoinHostPort(refused, "443"), unix.EACCES},                       // refused name
		{"udp", net.JoinHostPort(refused, "443"), unix.EACCES},                       //
		{"tcp", "[2606:2800:220:1::1]:443", unix.ECONNREFUSED},                       // IPv6
		{"udp", "[2606:2800:220:1::1]:443", unix.EPERM},                              //
		{"tcp", "[::ffff:93.184.215.14]:443", unix.ECONNREFUSED},                     // mapped
		{"tcp", "[64:ff9b::5db8:d70e]:443", unix.ECONNREFUSED},                       // NAT64
		{"tcp", "127.0.0.1:781", unix.ECONNREFUSED},                                  // the relay itself
		{"tcp", "[::1]:781", unix.ECONNREFUSED},                                      //
		{"tcp", "10.0.2.100:781", unix.ECONNREFUSED},                                 //
		{"udp", "127.0.0.1:782", unix.EPERM},                                         //
		{"tcp", "192.0.2.1:80", unix.ECONNREFUSED},                                   // the host's gateway
		{"tcp", "192.0.2.2:80", unix.ECONNREFUSED},                                   // the host
		{"udp", "255.255.255.255:9", unix.EPERM},                                     // broadcast
		{"udp", "224.0.0.251:5353", unix.EPERM},                                      // multicast DNS
		{"ip4:icmp", web, unix.EPERM},                                                // as root; others may not even make the socket
		{"tcp", net.JoinHostPort("198.18.77.77", "443"), unix.ECONNRESET},            // never given out
		{"tcp", net.JoinHostPort("198.18.77.77", "22"), unix.ECONNREFUSED},           //
		{"tcp", net.JoinHostPort("127.0.0.1", "9"), unix.ECONNREFUSED},               // nobody there
		{"tcp", net.JoinHostPort("fe80::1%lo", "80"), errors.New("any")},             // link-local
		{"tcp", net.JoinHostPort("fd00:ec2::254", "80"), unix.ECONNREFUSED},          // metadata
		{"tcp", net.JoinHostPort("ff02::1", "80"), errors.New("any")},                // multicast
		{"udp", net.JoinHostPort("ff02::fb%lo", "5353"), unix.EPERM},                 //
		{"tcp", net.JoinHostPort("100.64.0.1", "443"), unix.ECONNREFUSED},            // CGNAT
		{"tcp", net.JoinHostPort("2002:5db8:d70e::1", "443"), unix.ECONNREFUSED},     // 6to4
		{"tcp", net.JoinHostPort("::5db8:d70e", "443"), unix.ECONNREFUSED},           // compatible
		{"udp", net.JoinHostPort("8.8.8.8", "123"), unix.EPERM},                      //
		{"tcp", net.JoinHostPort("8.8.8.8", "853"), unix.ECONNREFUSED},               // DNS over TLS
		{"udp", net.JoinHostPort("2001:4860:4860::8888", "5353"), unix.EPERM},        //
		{"tcp", net.JoinHostPort("169.254.170.2", "80"), unix.ECONNREFUSED},          // ECS
		{"tcp", net.JoinHostPort("168.63.129.16", "80"), unix.ECONNREFUSED},          // Azure
		{"udp", net.JoinHostPort("127.0.0.1", "9"), unix.ECONNREFUSED},               // nobody there
		{"tcp", net.JoinHostPort("10.0.2.100", "9"), unix.ECONNREFUSED},              // itself
		{"tcp", net.JoinHostPort("93.184.215.14", "53000"), unix.ECONNREFUSED},       //
		{"tcp", net.JoinHostPort("::ffff:198.18.77.77", "22"), unix.ECONNREFUSED},    //
		{"tcp", net.JoinHostPort("::ffff:169.254.169.254", "80"), unix.ECONNREFUSED}, //
	} {
		t.Run(a.network+" "+a.addr, func(t *testing.T) {
			err := atOnce(t, "refusal", func() error { return attempt(s, a.network, a.addr) })
			if err == nil {
				t.Fatal("it went through")
			}
			var errno unix.Errno
			if errors.As(a.want, &errno) && !errors.Is(err, errno) {
				t.Errorf("%v, want %v", err, a.want)
			}
		})
	}
	s.denied(web+":443", "")
	s.denied(database+":5433", "")
	s.denied("[2606:2800:220:1::1]:443", "")
	s.denied("good.example:22", "not port 22")
	s.denied("198.18.77.77:443", "not given out")
	if seen := internet.meta.Seen(); len(seen) > 0 {
		t.Errorf("the metadata server saw %q", seen)
	}
}

// attempt connects, sends and waits for an answer.
func attempt(s *sandbox, network, addr string) error {
	c, err := s.dial(network, addr)
	if err != nil {
		return err
	}
	return attemptOn(c)
}

func attemptOn(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := c.Write([]byte("\x08\x00\xf7\xff\x00\x00\x00\x00")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestWideBlockMeansTheInternet: 0.0.0.0/0 opens no metadata server, no private
// network and not the host.
func TestWideBlockMeansTheInternet(t *testing.T) {
	s := up(t, network.Egress{Name: "all", CIDRs: []string{"0.0.0.0/0", "::/0"}, Ports: []uint16{7, 80, 5432}})
	c, err := s.dial("tcp", web+":7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "control"); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{metadata + ":80", database + ":5432", "192.0.2.2:80", "192.0.2.1:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80"} {
		if err := atOnce(t, addr, func() error { return attempt(s, "tcp", addr) }); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v, want refused", addr, err)
		}
	}
	s.denied(metadata+":80", "")
	s.policy(policyOf(network.Egress{Name: "all", CIDRs: []string{"0.0.0.0/0"}, Ports: []uint16{5432}},
		network.Egress{Name: "db", CIDRs: []string{"10.20.0.0/16"}, Ports: []uint16{5432}}))
	if c, err = s.dial("tcp", database+":5432"); err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "meant"); err != nil {
		t.Errorf("a rule that means it: %v", err)
	}
}

func TestDNS(t *testing.T) {
	s := up(t, webRule(443), network.Egress{Name: "wild", Domains: []string{"*.wild.example"}, Ports: []uint16{443}},
		network.Egress{Name: "install", Domains: []string{"pypi.example"}, Ports: []uint16{443}, During: []string{"apply"}})
	before := len(internet.names.Asked())
	named := func(name string) bool { return strings.HasPrefix(s.lookup(name), "198.18.") }
	for name, want := range map[string]bool{
		"good.example": true, "GOOD.Example": true, "sub.wild.example": true, "a.b.wild.example": true,
		"other.example": false, "wild.example": false, "notwild.example": false, "good.example.evil.example": false,
		"pypi.example": false, "secret-as-a-label.evil.example": false,
	} {
		if got := named(name); got != want {
			t.Errorf("%s allowed: %v, want %v", name, got, want)
		}
	}
	s.denied("other.example", "")
	s.denied("pypi.example", "only while packages are installed")
	if a, err := s.resolver("tcp").LookupHost(context.Background(), "good.example."); err != nil || a[0] != s.lookup("good.example") {
		t.Errorf("over TCP: %v, %v", a, err)
	}
	if s.lookup("good.example") == s.lookup("sub.wild.example") {
		t.Error("two names share an address")
	}
	for _, server := range []string{"8.8.8.8:53", "127.0.0.1:53", "[2001:4860:4860::8888]:53", "[::1]:53", "10.0.2.100:53", "127.0.0.53:53"} {
		r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return s.dial("udp", server) }}
		if a, err := r.LookupHost(context.Background(), "good.example."); err != nil || a[0] != s.lookup("good.example") {
			t.Errorf("from %s: %v, %v", server, a, err)
		}
	}
	if ns, err := s.resolver("udp").LookupAddr(context.Background(), s.lookup("good.example")); err != nil || ns[0] != "good.example." {
		t.Errorf("reverse: %v, %v", ns, err)
	}
	if txt, err := s.resolver("udp").LookupTXT(context.Background(), "data.evil.example."); err == nil {
		t.Errorf("TXT: %q", txt)
	}
	if asked := internet.names.Asked(); len(asked) != before {
		t.Errorf("the world was asked %q", asked[before:])
	}
}

// TestPython is what a person meets: the system's resolver and errno.
func TestPython(t *testing.T) {
	s := up(t, webRule(80))
	script := `import socket, time
def go(host):
    t = time.time()
    try:
        s = socket.create_connection((host, 80), timeout=5)
        s.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
        print(host, s.recv(12).decode())
    except OSError as e:
        print(host, type(e).__name__, e.strerror, time.time() - t < 1)
go("good.example")
go("refused.example")
go("93.184.215.14")`
	want := "good.example HTTP/1.1 200\nrefused.example HTTP/1.1 403\n93.184.215.14 ConnectionRefusedError Connection refused True"
	if got := s.python(script); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, target := range []string{"refused.example", "93.184.215.14:80"} {
		for _, d := range s.denials(func(d denial.Denial) bool { return d.Target() == target }) {
			if target == "refused.example" && (d.PID == 0 || !strings.HasPrefix(d.Command, "python") || d.UID == nil) {
				t.Errorf("who asked is not known: %+v", d)
			}
		}
	}
}

func TestRebinding(t *testing.T) {
	for _, bad := range []string{"127.0.0.1", metadata, database, "192.0.2.2", "192.0.2.1", "0.0.0.0", "::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "2a00:1450:1::2", "2a00:1450:1::7"} {
		t.Run(bad, func(t *testing.T) {
			s := up(t, network.Egress{Name: "r", Domains: []string{"rebind.example"}, Ports: []uint16{80}})
			internet.names.Set("rebind.example", bad)
			c, err := s.connect("rebind.example", "80")
			if err != nil {
				t.Fatal(err)
			}
			got, err := get(c, "rebind.example", "/")
			if !strings.HasPrefix(got, "blast: refused") || strings.Contains(got, bad) || strings.Contains(got, "own") || strings.Contains(got, "neighbour") {
				t.Errorf("%q, %v; want why, and nothing about the host's networks", got, err)
			}
			s.denied("rebind.example:80", "which only a cidrs rule")
		})
	}
	t.Run("a public address beside it is used", func(t *testing.T) {
		s := up(t, network.Egress{Name: "r", Domains: []string{"mixed.example"}, Ports: []uint16{80}})
		internet.names.Set("mixed.example", metadata, web)
		c, err := s.connect("mixed.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(c, "mixed.example", "/"); err != nil || got != "http mixed.example /" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("a cidrs rule means it", func(t *testing.T) {
		s := up(t, network.Egress{Name: "r", Domains: []string{"meta.example"}, Ports: []uint16{80}},
			network.Egress{Name: "meta", CIDRs: []string{metadata + "/32"}, Ports: []uint16{80}})
		internet.names.Set("meta.example", metadata)
		c, err := s.connect("meta.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(c, "meta.example", "/"); err != nil || got != "http meta.example /" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestLookupFollowsAliasesAndTCP(t *testing.T) {
	s := up(t, network.Egress{Name: "a", Domains: []string{"alias.example"}, Ports: []uint16{80}})
	internet.names.Alias("alias.example", "good.example")
	c, err := s.connect("alias.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(c, "alias.example", "/"); err != nil || got != "http alias.example /" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestServerDownIsNoDenial(t *testing.T) {
	s := up(t, network.Egress{Name: "d", Domains: []string{"down.example", "absent.example"}, Ports: []uint16{81}})
	internet.names.Set("down.example", web)
	for _, name := range []string{"down.example", "absent.example"} {
		c, err := s.connect(name, "81")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %v, want reset", name, err)
		}
	}
	if ds := recorded(s); len(ds) != 0 {
		t.Errorf("recorded %+v", ds)
	}
}

func TestUDP(t *testing.T) {
	s := up(t, network.Egress{Name: "u", CIDRs: []string{"93.184.215.0/24"}, Ports: []uint16{7000}, Protocol: "udp"})
	for _, dst := range []string{web + ":7000", second + ":7000"} {
		c, err := s.dial("udp", dst) // connected: the kernel drops answers from elsewhere
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		for i := range 3 {
			if _, err := fmt.Fprintf(c, "packet %d", i); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if want := fmt.Sprintf("%s packet %d", dst, i); err != nil || string(buf[:n]) != want {
				t.Fatalf("%q, %v; want %q", buf[:n], err, want)
			}
		}
	}
	t.Run("one socket, two destinations", func(t *testing.T) {
		var c *net.UDPConn
		err := s.inside(func() (err error) { c, err = net.ListenUDP("udp4", nil); return err })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		for _, dst := range []string{web, second, web, second} {
			to := &net.UDPAddr{IP: net.ParseIP(dst), Port: 7000}
			if _, err := c.WriteToUDP([]byte("x"), to); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, from, err := c.ReadFromUDP(buf)
			if err != nil || string(buf[:n]) != dst+":7000 x" || !from.IP.Equal(to.IP) || from.Port != 7000 {
				t.Fatalf("%q from %v, %v; want %s", buf[:n], from, err, dst)
			}
		}
	})
	if err := attempt(s, "udp", web+":7001"); !errors.Is(err, unix.EPERM) {
		t.Errorf("other port: %v, want EPERM", err)
	}
	s.denied(web+":7001", "")
}

func TestIPv6(t *testing.T) {
	block := "2606:2800:220:1::/64"
	s := up(t, network.Egress{Name: "six", CIDRs: []string{block}, Ports: []uint16{7}},
		network.Egress{Name: "u", CIDRs: []string{block}, Ports: []uint16{7000}, Protocol: "udp"},
		network.Egress{Name: "name", Domains: []string{"six.example"}, Ports: []uint16{80}})
	c, err := s.dial("tcp", "["+six+"]:7")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "over IPv6"); err != nil {
		t.Errorf("TCP: %v", err)
	}
	if c, err = s.dial("udp", "["+six+"]:7000"); err != nil {
		t.Fatal(err)
	}
	if err := attemptOn(c); err != nil {
		t.Errorf("UDP: %v", err)
	}
	if c, err = s.connect("six.example", "80"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(c, "six.example", "/"); err != nil || got != "http six.example /" {
		t.Errorf("a name with an IPv6 address only: %q, %v", got, err)
	}
	for network, want := range map[string]error{"tcp": unix.ECONNREFUSED, "udp": unix.EPERM} {
		if err := attempt(s, network, "["+six+"]:80"); !errors.Is(err, want) {
			t.Errorf("%s to another port: %v, want %v", network, err, want)
		}
	}
}

func TestOwnServers(t *testing.T) {
	s := up(t)
	for _, addr := range []string{"127.0.0.1:8000", "[::1]:8000", "127.0.0.2:8000"} {
		var l net.Listener
		if err := s.inside(func() (err error) { l, err = net.Listen("tcp", addr); return err }); err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = io.Copy(c, c)
			}
		}()
		c, err := s.dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := echoes(c, "own"); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		_ = l.Close()
	}
}

func TestAudit(t *testing.T) {
	s := up(t, webRule(443))
	p := policyOf(webRule(443))
	p.Default = "audit"
	s.policy(p)
	c, err := s.connect("other.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(c, "other.example", "/audit"); err != nil || got != "http other.example /audit" {
		t.Errorf("%q, %v", got, err)
	}
	if c, err = s.dial("tcp", web+":7"); err != nil {
		t.Fatal(err)
	}
	if err := echoes(c, "raw"); err != nil {
		t.Error(err)
	}
	for _, target := range []string{"other.example", "other.example:80", web + ":7"} {
		for _, d := range s.denials(func(d denial.Denial) bool { return d.Target() == target }) {
			if !d.Allowed {
				t.Errorf("%+v is not marked as allowed", d)
			}
		}
	}
	if err := attempt(s, "tcp", metadata+":80"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("metadata: %v", err)
	}
}
