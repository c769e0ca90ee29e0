package denial

import (
	"net"
	"strconv"
	"strings"

	"blast.example/blast/plan/view/shellword"
	"blast.example/blast/runtime/network/hostname"
)

// defaultPort is suggested for a name that was refused before a port was tried.
const defaultPort = 443

// Wish is the argument of blast allow that would let out what was refused, such as
// "api.github.com:443"; "" if no rule would, or none can be written, as what is looked
// up need not be the name of a host.
func (d Denial) Wish() string {
	if d.Final || d.Allowed {
		return ""
	}
	host := d.Addr
	if d.Host != "" {
		name, ok := hostname.Normalize(d.Host)
		if !ok || !writable(name) {
			return ""
		}
		host = name
	}
	if d.Protocol == "icmp" && d.Host == "" && host != "" {
		return host + "/icmp"
	}
	port := d.Port
	if port == 0 {
		port = d.Meant
	}
	if port == 0 && d.Op == Resolve {
		port = defaultPort
	}
	if host == "" || port == 0 {
		return ""
	}
	to := net.JoinHostPort(host, strconv.Itoa(int(port)))
	switch d.Protocol {
	case "udp":
		return to + "/udp"
	case "tcp", "":
		return to
	}
	return ""
}

// writable reports whether a rule may name the host; see package network.
func writable(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return !strings.Contains(name, "_") && strings.Trim(last, "0123456789") != "" && !strings.HasSuffix("."+name, zone)
}

// zone is network.Zone with a dot before it: other environments are for rules of another
// kind, which both sides must have.
const zone = ".blast.internal"

// AllowCommand is what a person types to let it out: blast allow with the words before its
// argument that choose the environment. "" is as of Wish.
func (d Denial) AllowCommand(choice ...string) string {
	wish := d.Wish()
	if wish == "" {
		return ""
	}
	words := append(append([]string{"blast"}, choice...), "allow", wish)
	for i, w := range words {
		words[i] = shellword.Quote(w)
	}
	return strings.Join(words, " ")
}

// usual is the name of an environment that nobody has to choose.
const usual = "default"

// Choice are the words that choose an environment.
func Choice(env string) []string {
	if env == usual {
		return nil
	}
	return []string{"-e", env}
}
