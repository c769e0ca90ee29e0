package attack

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/testfixtures/attack/probes"
	"blast.example/blast/testfixtures/netlab"
	"blast.example/blast/testfixtures/whole"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m.Run)) }

// A world is the internet, the host, and a project with three sandboxes.
type world struct {
	t            *testing.T
	lab          *netlab.Lab
	names        *netlab.NameServer
	tap          *netlab.Tap
	blastd       *whole.Blast
	bin, project string
	flips        int // questions for the name that changes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, blastd: whole.New(t, map[string]string{"attacker": "testfixtures/attack/attacker"})}
	w.bin = w.blastd.Bin
	w.internet()
	w.host()
	tap, err := netlab.NewTap()
	w.try(err)
	w.tap = tap
	t.Cleanup(tap.Close)
	w.sandboxes()
	return w
}

func (w *world) try(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

// internet makes all that is not the host.
func (w *world) internet() {
	lab, err := netlab.New()
	w.try(err)
	w.t.Cleanup(lab.Close)
	w.lab = lab
	w.names, err = lab.ServeNames(probes.Resolver + ":53")
	w.try(err)
	six, err := lab.ServeNames("[" + probes.Resolver6 + "]:53")
	w.try(err)
	six.Hook(w.evil)
	w.try(lab.ServeNamesTLS(w.names, probes.Resolver+":853"))
	for at, names := range map[string][]string{
		probes.CDN + ":443":      {"good.example", "other.example", "many.example", "neighbour.example", "dns.example"},
		probes.CDN + ":8443":     {"good.example", "other.example"},
		probes.Resolver + ":443": {"dns.example"},
	} {
		_, err := lab.ServeTLS(at, names...)
		w.try(err)
	}
	for _, at := range []string{probes.CDN + ":80", probes.Metadata + ":80", "[fd00:ec2::254]:80"} {
		_, err := lab.ServeHTTP(at)
		w.try(err)
	}
	w.try(lab.Own(probes.Attacker), lab.Own(probes.Database), lab.Own(probes.Pingable), lab.Own("198.41.0.6"), lab.Own("fec0::1"), lab.Own("::127.0.0.1"), lab.Own("::"+probes.Attacker), lab.ServeLenient(probes.CDN+":8080", false), lab.ServeLenient(probes.CDN+":8081", true), lab.ServeEcho(probes.CDN+":7", ""), lab.ServeRetry(probes.CDN+":8444"))
	w.try(lab.ServeSink(probes.Resolver+":53", "["+probes.Resolver6+"]:53"))
	w.zones()
}

// zones are what names lead to.
func (w *world) zones() {
	for _, n := range []string{"good.example", "other.example", "many.example", "dns.example", "echo.example", "opaque.example", "neighbour.example"} {
		w.names.Set(n, probes.CDN)
	}
	for n, addrs := range probes.Rebinding {
		w.names.Set(n+".rebind.example", addrs...)
	}
	w.names.Alias("alias.rebind.example", "a.evil.example")
	w.names.Alias("a.evil.example", "b.evil.example")
	w.names.Hook(w.evil)
}

// evil answers for what is in no zone: whoever runs it answers everything, at length.
func (w *world) evil(r *dns.Msg, q dns.Question) bool {
	name := strings.ToLower(q.Name)
	head := func(kind uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	a := func(to string, ttl uint32) {
		if q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY {
			r.Answer = append(r.Answer, &dns.A{Hdr: head(dns.TypeA, ttl), A: net.ParseIP(to).To4()})
		}
	}
	switch {
	case name == "alias.rebind.example.": // three aliases in one answer
		for _, to := range []string{"a.evil.example.", "b.evil.example.", "c.evil.example."} {
			h := head(dns.TypeCNAME, 1)
			h.Name = name
			r.Answer = append(r.Answer, &dns.CNAME{Hdr: h, Target: to})
			name = to
		}
		r.Answer = append(r.Answer, &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1).To4()})
	case name == "ttl.rebind.example.":
		a("127.0.0.1", 365*86400)
	case name == "flip.rebind.example.":
		if q.Qtype == dns.TypeA {
			w.flips++
		}
		a([]string{probes.CDN, "127.0.0.1"}[w.flips%2], 0)
	case strings.HasSuffix(name, ".many.example.") || strings.HasSuffix(name, ".wild.example."):
		a(probes.CDN, 1)
	case strings.HasSuffix(name, ".rebind.example.") || slices.Contains([]string{"good.example.", "other.example.", "many.example.", "dns.example.", "echo.example.", "opaque.example.", "neighbour.example."}, name):
		return false
	default:
		a(probes.Attacker, 1)
		r.Extra = append(r.Extra, &dns.TXT{Hdr: head(dns.TypeTXT, 1), Txt: []string{"command"}})
	}
	return true
}

// host makes the services of the host, and the interfaces that they are on.
func (w *world) host() {
	w.try(os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0))
	w.try(w.uplink(), netns.Create("/run/attack-netns"))
	w.t.Cleanup(func() { w.try(netns.Unpin("/run/attack-netns")) })
	for _, port := range []int{probes.HostPort, probes.Wide} {
		w.serve("tcp", fmt.Sprintf("[::]:%d", port))
	}
	w.serve("unix", "@"+probes.HostUnix)
	w.serve("unix", "/run/attack-host.sock")
	w.try(os.Chmod("/run/attack-host.sock", 0o777))
	for _, at := range [][2]string{{"udp", fmt.Sprintf("127.0.0.1:%d", probes.HostPort)}, {"udp", fmt.Sprintf("%s:%d", probes.HostUplink, probes.HostPort)}, {"unixgram", "@" + probes.HostUnix + "-datagram"}} {
		c, err := net.ListenPacket(at[0], at[1])
		w.try(err)
		w.t.Cleanup(func() { _ = c.Close() })
		go func() {
			buf := make([]byte, 4096)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				w.told(buf[:n])
				_, _ = c.WriteTo(append([]byte(probes.HostSays+" "), buf[:n]...), from)
			}
		}()
	}
}

func (w *world) serve(network, at string) {
	l, err := net.Listen(network, at)
	w.try(err)
	w.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 4096)
				n, _ := c.Read(buf)
				w.told(buf[:n])
				_, _ = c.Write(append([]byte(probes.HostSays+" "), buf[:n]...))
			}()
		}
	}()
}

// told writes down what a service of the host's was told: whoever did meant no host that a rule names.
func (w *world) told(b []byte) { _, _ = fmt.Fprintf(&w.lab.Journal, "\nrequest for HOST: %s\n", b) }

// uplink gives the host another network with a neighbour in it, and a bridge's address.
func (w *world) uplink() error {
	far, err := w.lab.Handle()
	if err != nil {
		return err
	}
	defer far.Close()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "attack1"}, PeerName: "attack2", PeerNamespace: netlink.NsFd(w.lab.Namespace())}); err != nil {
		return err
	}
	near, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer near.Close()
	return errors.Join(netlab.SetUp(near, "attack1", probes.HostPublic+"/24", probes.HostBridge+"/16"), netlab.SetUp(far, "attack2", "23.92.16.7/24"))
}

// command runs blast in the project.
func (w *world) command(args ...string) *exec.Cmd { return w.blastd.Command(w.project, args...) }

func (w *world) blast(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("blast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// environments are the sandboxes that attack, and what makes them different.
var environments = map[string]string{
	"victim": "",
	"rooted": "  process {\n    user = \"root\"\n    capabilities = [\"chown\", \"fowner\", \"kill\", \"setgid\", \"setuid\"]\n  }\n",
}

const neighbourName = "neighbour"

func (w *world) sandboxes() {
	root, err := os.MkdirTemp("", "blast-attack-") // not t.TempDir: the sandbox's user must get through
	w.try(err)
	w.t.Cleanup(func() { _ = os.RemoveAll(root) })
	w.project = filepath.Join(root, "project")
	b, err := os.ReadFile(filepath.Join(w.bin, "attacker"))
	w.try(err, os.Chmod(root, 0o755), os.Mkdir(w.project, 0o755), os.WriteFile(filepath.Join(w.project, "attacker"), b, 0o755),
		os.WriteFile(filepath.Join(w.project, "blast.hcl"), hcl(), 0o644))
	for _, name := range w.all() {
		w.t.Cleanup(func() {
			if out, err := w.command("-e", name, "destroy", "--auto-approve").CombinedOutput(); err != nil {
				w.t.Errorf("destroy %s: %v\n%s", name, err, out)
			}
		})
		w.blast("-e", name, "apply", "--auto-approve")
	}
}

func (w *world) all() []string { return []string{neighbourName, "victim", "rooted"} }

func hcl() []byte {
	var b bytes.Buffer
	for name, more := range environments {
		fmt.Fprintf(&b, "environment %q {\n%s%s}\n", name, more, fmt.Sprintf(policy, strings.Join(rebinding(), `", "`)))
	}
	b.WriteString("environment \"friend\" {\n}\n")
	fmt.Fprintf(&b, "environment %q {\n%s}\n", neighbourName, fmt.Sprintf(neighbourPolicy, probes.NeighbourInside, probes.Neighbour))
	return b.Bytes()
}

func rebinding() []string {
	names := []string{"alias", "ttl", "flip"}
	for n := range probes.Rebinding {
		names = append(names, n)
	}
	slices.Sort(names)
	for i := range names {
		names[i] += ".rebind.example"
	}
	return names
}
