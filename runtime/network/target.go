package network

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// profile reads names as browsers do before they look them up, but forgives
// nothing: RFC 5891 registration rules, length and hyphens checked.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false))

// domain normalises a host name of a rule: lower-case A-labels without a final
// dot, exact or "*.example.com".
func domain(text string) (string, error) {
	name, wild := strings.CutPrefix(text, "*.")
	name = strings.TrimSuffix(name, ".")
	if name == "" || strings.ContainsAny(text, " \t/") {
		return "", errors.New(`is not a host name; write one without scheme, port and path, such as "example.com"`)
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return "", fmt.Errorf("is an address, not a name; write cidrs = [%q]", prefixOf(strings.Trim(name, "[]")))
	}
	if strings.Contains(name, "*") {
		return "", errors.New(`has a wildcard that is not "*." at the beginning; write "*.example.com"`)
	}
	if strings.Contains(name, ":") {
		return "", fmt.Errorf("has a port or scheme in it; ports have an argument of their own: ports = [443]")
	}
	a, err := profile.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("is not a host name (%w); write it as a browser's address bar shows it", err)
	}
	if env, ok := strings.CutSuffix("."+a, "."+Zone); ok {
		return "", fmt.Errorf("is in the zone of this project's environments; write environments = [%q]", cmp.Or(strings.Trim(env, "."), "backend"))
	}
	last := a[strings.LastIndexByte(a, '.')+1:]
	switch {
	case wild && last == a:
		return "", fmt.Errorf(`is too wide: it names everything below %q; write a name below it, such as "*.example.%s"`, a, a)
	case strings.Trim(last, "0123456789") == "":
		return "", errors.New("ends in a number, as addresses do and names don't; write addresses as cidrs")
	case wild:
		return "*." + a, nil
	}
	return a, nil
}

func prefixOf(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	return netip.PrefixFrom(a, a.BitLen()).String()
}

// cidr normalises an address block; an address alone is a block of one.
func cidr(text string) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		text = prefixOf(text)
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "", errors.New(`is not an address block; write for example "10.20.0.0/16"`)
	case p.Addr().Is4In6():
		return "", fmt.Errorf("is IPv4 written as IPv6; write %q", netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0)).Masked())
	case p.Masked() != p:
		return "", fmt.Errorf("has bits beyond its length of %d, so it is unclear what is meant; write %q for the block, or %q for the one address", p.Bits(), p.Masked(), prefixOf(p.Addr().String()))
	}
	return p.String(), nil
}

// server normalises a DNS server: "system" or an address with its port.
func server(text string) (string, error) {
	if text == "system" {
		return text, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Port() == 0 {
		return "", errors.New(`is not a DNS server; write "system", or an address such as "192.0.2.53" or "192.0.2.53:5353"`)
	}
	return ap.String(), nil
}
