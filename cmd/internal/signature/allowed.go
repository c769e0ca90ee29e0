package signature

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// AllowedSigners say whose signature counts: the file of that name in ssh-keygen(1).
// The zero value allows nobody.
type AllowedSigners struct{ lines []allowedLine }

// allowedLine is one key and who has it.
type allowedLine struct {
	number     int
	principals string // a pattern list, as it stands there
	namespaces string // a pattern list; empty is any
	after      time.Time
	before     time.Time // the last moment; zero is none, as above
	key        ssh.PublicKey
}

// ParseAllowedSigners reads the text of an allowed signers file. ssh-keygen leaves out
// lines that it can't read; here one such line is an error that names it, as a list
// that means less than it says misleads its author. Certificate authorities are
// such lines. Times without a Z are those of this machine's time zone.
func ParseAllowedSigners(text []byte) (AllowedSigners, error) {
	var a AllowedSigners
	if len(text) > maxAllowed {
		return a, fmt.Errorf("a list of allowed signers has at most %d KiB", maxAllowed>>10)
	}
	for i, raw := range bytes.Split(text, []byte("\n")) {
		s := strings.Trim(string(raw), " \t\r")
		if s == "" || s[0] == '#' {
			continue
		}
		l, err := parseLine(s)
		if err != nil {
			return AllowedSigners{}, fmt.Errorf("line %d: %w", i+1, err)
		}
		l.number = i + 1
		a.lines = append(a.lines, l)
	}
	return a, nil
}

const maxAllowed = 1 << 20

// For returns those of a whose principals match who: the keys of one person.
func (a AllowedSigners) For(who string) AllowedSigners {
	return AllowedSigners{slices.DeleteFunc(slices.Clone(a.lines), func(l allowedLine) bool { return !matchList(l.principals, who) })}
}

// find returns the principals of the first line that allows the key, or why none does.
func (a AllowedSigners) find(key ssh.PublicKey, namespace string, now time.Time) (string, error) {
	err := errors.New("which is not in the list of allowed signers")
	for _, l := range a.lines {
		if !bytes.Equal(l.key.Marshal(), key.Marshal()) {
			continue
		}
		if err = l.refuses(namespace, now); err == nil {
			return l.principals, nil
		}
	}
	return "", fmt.Errorf("the signature is by key %s, %w", ssh.FingerprintSHA256(key), err)
}

// refuses says why a signature by the line's key doesn't count.
func (l allowedLine) refuses(namespace string, now time.Time) error {
	switch {
	case l.namespaces != "" && !matchList(l.namespaces, namespace):
		return fmt.Errorf("which line %d of the list of allowed signers allows for %q, not for %q", l.number, l.namespaces, namespace)
	case !l.after.IsZero() && now.Before(l.after):
		return fmt.Errorf("which line %d of the list of allowed signers allows only from %s on", l.number, l.after.Format(time.RFC3339))
	case !l.before.IsZero() && now.After(l.before):
		return fmt.Errorf("which line %d of the list of allowed signers allowed until %s", l.number, l.before.Format(time.RFC3339))
	}
	return nil
}

// parseLine reads "principals [options] type base64 [comment]".
func parseLine(s string) (allowedLine, error) {
	var l allowedLine
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == unicode.ReplacementChar }) {
		return l, errors.New("it has control characters, or is not UTF-8")
	}
	who, rest, err := cutPrincipals(s)
	if err != nil {
		return l, err
	}
	l.principals = who
	kind, after := cutField(rest)
	if !keyType(kind) {
		if err := l.options(kind); err != nil {
			return l, err
		}
		kind, after = cutField(after)
	}
	encoded, _ := cutField(after)
	l.key, err = parseKey(kind, encoded)
	return l, err
}

// cutPrincipals reads the first field, which may be in quotes.
func cutPrincipals(s string) (who, rest string, err error) {
	quoted, isQuoted := strings.CutPrefix(s, `"`)
	if !isQuoted {
		who, rest = cutField(s)
	} else if who, rest, isQuoted = strings.Cut(quoted, `"`); !isQuoted {
		return "", "", errors.New("a quote is not closed")
	}
	if who == "" || strings.Contains(who, `"`) {
		return "", "", errors.New("it must begin with who signs, as user@example.com")
	}
	return who, strings.TrimLeft(rest, " \t"), nil
}

// cutField ends at a blank outside of quotes.
func cutField(s string) (field, rest string) {
	inQuotes := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case c == '"':
			inQuotes = !inQuotes
		case (c == ' ' || c == '\t') && !inQuotes:
			return s[:i], strings.TrimLeft(s[i:], " \t")
		}
	}
	return s, ""
}

// keyType tells the type of a key, known or not, from options.
func keyType(s string) bool {
	return strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-") || strings.HasPrefix(s, "sk-")
}

func parseKey(kind, encoded string) (ssh.PublicKey, error) {
	if kind == "" || encoded == "" {
		return nil, errors.New("there is no key: it takes the two words of a .pub file, as ssh-ed25519 and what follows it")
	}
	if algorithms[kind] == nil {
		return nil, fmt.Errorf("keys of type %q are not accepted: use ssh-ed25519", kind)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the key is not whole: it is no base64")
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the key is not whole: %w", err)
	}
	if key.Type() != kind {
		return nil, fmt.Errorf("the key is one of type %q, not %q", key.Type(), kind)
	}
	return key, checkKey(key)
}
