// Package mask takes the values of secrets out of what a program wrote, before that
// is shown or kept. It knows the usual ways to write a value down, and no others: who
// wants to can always write it so that nobody recognizes it.
package mask

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/runtime/process/secret"
)

// Mark stands where a value was.
const Mark = "***"

// minLine is the shortest part of a value, such as one of its lines, that is taken out
// by itself, in bytes: others, such as "}", stand everywhere.
const minLine = 8

// A Mask is for a set of values. The zero value takes out nothing.
type Mask struct{ replace *strings.Replacer }

// Of makes a mask for these values.
func Of(values map[string]secret.Value) Mask {
	var looks []string
	for _, v := range values {
		looks = append(looks, ways(v.Reveal())...)
	}
	looks = slices.DeleteFunc(looks, func(l string) bool { return l == "" })
	if len(looks) == 0 {
		return Mask{}
	}
	// The first that fits is replaced: what is part of another one comes after it.
	slices.SortFunc(looks, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, l := range slices.Compact(looks) {
		pairs = append(pairs, l, Mark)
	}
	return Mask{strings.NewReplacer(pairs...)}
}

// Hide returns the text without the values.
func (m Mask) Hide(text string) string {
	if m.replace == nil {
		return text
	}
	return m.replace.Replace(text)
}

// ways are how a value may be written down.
func ways(v string) []string {
	b := []byte(v)
	out := []string{
		v, url.QueryEscape(v), url.PathEscape(v), unquoted(strconv.Quote(v)), unquoted(strconv.QuoteToASCII(v)),
		hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		out = append(out, enc.EncodeToString(b), enc.EncodeToString(append(b, '\n')), enc.WithPadding(base64.NoPadding).EncodeToString(b))
		out = append(out, within(enc, v)...)
	}
	if lines := strings.Split(v, "\n"); len(lines) > 1 {
		for _, l := range lines {
			if l = strings.TrimSpace(l); len(l) >= minLine {
				out = append(out, l)
			}
		}
	}
	return out
}

// within is base64 (RFC 4648) of a value with something before and after it, but for
// the digits that it shares with those.
func within(enc *base64.Encoding, v string) []string {
	var out []string
	for before := range 3 {
		s := enc.EncodeToString([]byte(strings.Repeat("x", before) + v))
		if n := (before + len(v)) / 3 * 4; n >= 4+minLine {
			out = append(out, s[(before+2)/3*4:n])
		}
	}
	return out
}

func unquoted(s string) string { return s[1 : len(s)-1] }
