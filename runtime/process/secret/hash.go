package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// KeySize is the length of a key, in bytes.
const KeySize = sha256.Size

// NewKey makes a key for the hashes of one environment.
func NewKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
}

// Hash tells one value of a secret from another to who has the key, and nothing to
// anybody else: HMAC-SHA256 (RFC 2104) in hex. A plain hash of what is short, such as
// a PIN, could be found by trying. The name is part of it, so that nobody sees of two
// secrets that they are the same.
func Hash(key []byte, name string, v Value) string {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, name+"\x00"+v.Reveal())
	return hex.EncodeToString(h.Sum(nil))
}

// IsHash reports whether a text can be one.
func IsHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
