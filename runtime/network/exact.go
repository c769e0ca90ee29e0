package network

import (
	"net/netip"
	"strings"
)

// ReadTarget reads what a rule is to be for, as a person types it: an address or a block
// of addresses is a cidr, all else a domain. Both are as a rule that was read has them;
// an error says what is wrong and goes on a sentence that begins with the text.
func ReadTarget(text string) (domain_, cidr_ string, err error) {
	bare := strings.Trim(text, "[]")
	_, notAddr := netip.ParseAddr(bare)
	if notAddr == nil || strings.Contains(bare, "/") {
		cidr_, err = cidr(bare)
		return "", cidr_, err
	}
	domain_, err = domain(text)
	return domain_, "", err
}
