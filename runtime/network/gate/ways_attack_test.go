package gate

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network"
)

// TestOddWaysToConnect: what a connection is opened with changes nothing: data
// in its first packet, a foreign source address, a route of its own, a cousin of
// UDP.
func TestOddWaysToConnect(t *testing.T) {
	s := up(t, network.Egress{Name: "db", CIDRs: []string{database + "/32"}, Ports: []uint16{5432}},
		network.Egress{Name: "u", CIDRs: []string{web + "/32"}, Ports: []uint16{7000}, Protocol: "udp"})
	got := s.python(`
import socket
socket.setdefaulttimeout(0.5)  # a foreign source address hears no refusal
allowed, refused, name = ("` + database + `", 5432), ("` + web + `", 7), ("198.19.1.1", 443)
def go(what, f, *args):
    try:
        s = f(*args)
        print(what, s.recv(4).decode())
    except OSError as e:
        print(what, e.__class__.__name__)
def fast(to):
    s = socket.socket()
    s.settimeout(None)
    s.sendto(b"fast", socket.MSG_FASTOPEN, to)
    return s
def free(source, to):
    s = socket.socket()
    s.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
    s.bind((source, 0))
    s.connect(to)
    s.send(b"free")
    return s
def routed(via, to):
    s = socket.socket()
    s.setsockopt(socket.SOL_IP, socket.IP_OPTIONS, bytes([131, 7, 4]) + socket.inet_aton(via) + b"\0")  # loose source route
    s.connect(to)
    s.send(b"rout")
    return s
def lite(to):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE)
    s.connect(to)
    s.send(b"lite")
    return s
def udp(to):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(to)
    s.send(b"udp!")
    return s
go("control", udp, ("` + web + `", 7000))
go("fast", fast, allowed)
go("fast", fast, refused)
go("fast", fast, name)
go("free", free, "127.0.0.1", allowed)
for source in "127.0.0.1", "10.0.2.100", "` + web + `", "198.18.0.1":
    go("free", free, source, refused)
    go("free", free, source, name)
go("routed", routed, allowed[0], refused)
go("routed", routed, refused[0], allowed)
go("lite", lite, ("` + web + `", 7000))
`)
	controls := "control 93.1\nfast fast\nfast ConnectionRefusedError\nfast PermissionError\nfree free\n"
	rest, ok := strings.CutPrefix(got, controls)
	if !ok || strings.Count(rest, "\n") != 10 {
		t.Fatal(got)
	}
	for line := range strings.Lines(rest) {
		if !strings.HasSuffix(strings.TrimSpace(line), "Error") {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// TestHostileQueries: packets that are no questions, or odd ones, end nothing.
func TestHostileQueries(t *testing.T) {
	s := up(t, webRule(80))
	loop := []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01") // a name that is itself
	many := new(dns.Msg).SetQuestion("good.example.", dns.TypeA)
	many.Question = append(many.Question, dns.Question{Name: "other.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET})
	two, err := many.Pack()
	if err != nil {
		t.Fatal(err)
	}
	counts := []byte("\x00\x02\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff")
	for _, network := range []string{"udp", "tcp"} {
		for what, q := range map[string][]byte{"loop": loop, "two questions": two, "counts": counts, "short": {1}, "noise": []byte(strings.Repeat("\xc0", 3000))} {
			c, err := s.dial(network, "8.8.8.8:53")
			if err != nil {
				t.Fatal(err)
			}
			if network == "tcp" {
				q = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
			}
			if _, err := c.Write(q); err != nil {
				t.Errorf("%s %s: %v", network, what, err)
			}
		}
		c, err := s.dial(network, "8.8.8.8:53")
		if err != nil {
			t.Fatal(err)
		}
		in, _, err := (&dns.Client{Net: network}).ExchangeWithConn(new(dns.Msg).SetQuestion("gOOd.eXample.", dns.TypeA), &dns.Conn{Conn: c})
		if err != nil || len(in.Answer) != 1 || in.Question[0].Name != "gOOd.eXample." {
			t.Errorf("control %s: %v, %v", network, in, err)
		}
	}
}

// TestPipelinedRequests: the second request is not let out with the first.
func TestPipelinedRequests(t *testing.T) {
	s := up(t, webRule(80))
	for what, raw := range map[string]string{
		"pipelined":          "GET /first HTTP/1.1\r\nHost: good.example\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"two lengths":        "POST /first HTTP/1.1\r\nHost: good.example\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"length and chunks":  "POST /first HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"chunks and length":  "POST /first HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 70\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"odd encoding":       "POST /first HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"blank before colon": "POST /first HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"folded host":        "GET /smuggled HTTP/1.1\r\nHost: good.example\r\n other.example\r\n\r\n",
		"host after a fold":  "GET /first HTTP/1.1\r\nX: y\r\n Host: good.example\r\nHost: other.example\r\n\r\n",
		"body of a GET":      "GET /first HTTP/1.1\r\nHost: good.example\r\nContent-Length: 0\r\nConnection: Host, keep-alive\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"not upgraded":       "GET /first HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"two upgrades":       "GET /first HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"expects":            "POST /first HTTP/1.1\r\nHost: good.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbodyGET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n",
	} {
		c, err := s.connect("good.example", "80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c, err := s.connect("good.example", "80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, strings.Repeat("GET /pipelined HTTP/1.1\r\nHost: good.example\r\n\r\n", 2)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for range 2 {
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
			t.Fatalf("control: %q, %v", line, err)
		}
		for line := ""; !strings.HasPrefix(line, "http good.example"); {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, line := range internet.http.Seen() {
		if strings.HasPrefix(line, "http other.example") && !strings.HasSuffix(line, "/audit") || strings.Contains(line, "smuggled") {
			t.Errorf("the server saw %q", line)
		}
	}
}
