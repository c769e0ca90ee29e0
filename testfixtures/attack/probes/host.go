package probes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	hostCategory        = "Services of the host"
	unixCategory        = "Abstract and other local sockets"
	environmentCategory = "Other environments"
)

// says says the token to an address, and expects words that only one service has.
func says(network, addr, words string) func(Aim) error {
	return func(a Aim) error {
		c, err := dial(network, addr)
		if err != nil {
			return err
		}
		said, err := speak(c, []byte(a.Token+"\n"))
		if err == nil && !strings.Contains(string(said), words) {
			err = fmt.Errorf("answered %.40q", said)
		}
		return err
	}
}

func hostProbes() []Probe {
	var ps []Probe
	for _, at := range [][2]string{
		{"loopback", "127.0.0.1"}, {"loopback-other", "127.9.9.9"}, {"loopback-6", "::1"}, {"unspecified", "0.0.0.0"}, {"unspecified-6", "::"}, {"uplink", HostUplink},
		{"public", HostPublic}, {"bridge", HostBridge}, {"mapped", "::ffff:127.0.0.1"}, {"mapped-uplink", "::ffff:" + HostUplink}, {"uplink-6", "2001:db8:1::2"}, {"public-6", "2a00:1450:1::2"},
	} {
		ps = append(ps, Probe{Name: "host-" + at[0], Category: hostCategory, What: "a service of the host's at " + at[1], Try: says("tcp", join(at[1], HostPort), HostSays)})
	}
	ps = append(ps,
		Probe{Name: "host-udp", Category: hostCategory, What: "a datagram to the host's loopback", Try: says("udp", join("127.0.0.1", HostPort), HostSays)},
		Probe{Name: "host-udp-uplink", Category: hostCategory, What: "a datagram to the host's own address", Try: says("udp", join(HostUplink, HostPort), HostSays)},
		Probe{Name: "host-localhost", Category: hostCategory, What: "localhost, by name", Try: says("tcp", join("localhost", HostPort), HostSays)},
		Probe{Name: "host-gate", Category: hostCategory, What: "the gate's own relay, asked without a destination", Try: func(a Aim) error {
			if !a.Inside { // there it stands for any server
				return tell("tcp", Attacker+":781")(a)
			}
			return tell("tcp", "127.0.0.1:781")(a)
		}},
		Probe{Name: "host-gate-6", Category: hostCategory, What: "the same by IPv6", Try: func(a Aim) error {
			if !a.Inside {
				return tell("tcp", join(Attacker6, 781))(a)
			}
			return tell("tcp", "[::1]:781")(a)
		}},
		Probe{Name: "host-gate-udp", Category: hostCategory, What: "the same for datagrams", Try: func(a Aim) error {
			if !a.Inside {
				return tell("udp", Attacker+":782")(a)
			}
			return tell("udp", "127.0.0.1:782")(a)
		}},
	)
	add := func(name, what string, try func(Aim) error) {
		ps = append(ps, Probe{Name: "unix-" + name, Category: unixCategory, What: what, Try: try, Tokenless: true})
	}
	add("abstract", "an abstract socket of the host's", says("unix", "@"+HostUnix, HostSays))
	add("abstract-datagram", "the same for datagrams", throw("unixgram", "@"+HostUnix+"-datagram"))
	add("abstract-list", "the list of all of them", func(Aim) error {
		b, err := os.ReadFile("/proc/net/unix")
		if err == nil && !strings.Contains(string(b), HostUnix) {
			err = errors.New("it isn't in the list")
		}
		return err
	})
	add("path", "a socket of the host's in /run", says("unix", "/run/attack-host.sock", HostSays))
	add("daemon", "the socket of Blast's daemon", func(Aim) error {
		c, err := dial("unix", "/run/blast/blastd.sock")
		if err != nil {
			return err
		}
		return c.Close()
	})
	add("steal", "a descriptor of process 1", func(a Aim) error {
		pid := 1
		if !a.Inside {
			pid = os.Getpid()
		}
		p, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(p) }()
		fd, err := unix.PidfdGetfd(p, 2, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
	return ps
}

func environmentProbes() []Probe {
	var ps []Probe
	add := func(name, what string, tokenless bool, try func(Aim) error) {
		ps = append(ps, Probe{Name: "environment-" + name, Category: environmentCategory, What: what, Try: try, Tokenless: tokenless})
	}
	add("published", "the port that another environment publishes", false, says("tcp", join("127.0.0.1", Neighbour), NeighbourSays))
	add("published-uplink", "the same at the host's address", false, func(a Aim) error {
		if !a.Inside {
			return says("tcp", join("127.0.0.1", Neighbour), NeighbourSays)(a)
		}
		return says("tcp", join(HostUplink, Neighbour), NeighbourSays)(a)
	})
	add("inside", "its port inside of it", false, neighbours(NeighbourInside))
	add("own-address", "the address that every sandbox has of its own", false, func(a Aim) error {
		if !a.Inside {
			return says("tcp", join("127.0.0.1", Neighbour), NeighbourSays)(a)
		}
		return says("tcp", join("10.0.2.100", NeighbourInside), NeighbourSays)(a)
	})
	add("names", "the addresses that its names have", false, func(a Aim) error {
		if !a.Inside { // where they are no secret
			return handshake("neighbour.example", 443, "neighbour.example", "neighbour.example")(a)
		}
		c, err := reach("neighbour.example", 443)
		if err != nil {
			return err
		}
		return https(c, a, "neighbour.example", "neighbour.example")
	})
	add("one-sided", "its port by the name that environments have: only one of the two allows it", false, internal(neighbourHost))
	add("not-allowed", "the same where neither does", false, internal("other.blast.internal"))
	add("abstract", "its abstract socket", true, func(a Aim) error {
		name := "@" + NeighbourUnix
		if !a.Inside { // from where it is not to be seen either; the host has one of the same kind
			name = "@" + HostUnix
		}
		c, err := dial("unix", name)
		if err != nil {
			return err
		}
		_, err = speak(c, []byte("hello"))
		return err
	})
	add("tmp", "a file of its own in /tmp", true, func(a Aim) error {
		path := "/tmp/attack-neighbour"
		if !a.Inside {
			path = "/etc/hosts"
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = io.Copy(io.Discard, f)
		return err
	})
	return ps
}

const neighbourHost = "neighbour.blast.internal"

// internal reaches for the port of an environment by its name, which the host doesn't know: there it is
// where it is published.
func internal(name string) func(Aim) error {
	return func(a Aim) error {
		if !a.Inside {
			return says("tcp", join("127.0.0.1", Neighbour), NeighbourSays)(a)
		}
		c, err := reach(name, NeighbourInside)
		if err != nil {
			return err
		}
		_, err = speak(c, []byte(a.Token+"\n"))
		return err
	}
}

// neighbours is a service inside of the other environment; outside of both it is where it publishes that.
func neighbours(port int) func(Aim) error {
	return func(a Aim) error {
		if !a.Inside {
			port = Neighbour
		}
		return says("tcp", join("127.0.0.1", port), NeighbourSays)(a)
	}
}
