package network

import (
	"net/netip"
	"strings"
)

// ReadTarget reads what a rule is to be for, as a person types it: an address or a block
// of addresses is a cidr, all else a domain. Both are as a rule that was read has them;
// an error says what is wrong and goes on a sentence that begins with the text.
func ReadTarget(text string) (name, block string, err error) {
	bare := strings.Trim(text, "[]")
	_, notAddr := netip.ParseAddr(bare)
	if notAddr == nil || strings.Contains(bare, "/") {
		block, err = cidr(bare)
		return "", block, err
	}
	name, err = domain(text)
	return name, "", err
}
