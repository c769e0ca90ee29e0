// Package plan works out what must change on the host and how that is shown. It
// is pure: it reads no file, no clock and no kernel, so every rule here is
// tested with values.
//
// The flow is Diff(desired, recorded, observed) → Plan → a person reads it
// (Text, JSON) → package apply carries it out.
package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// An Object is one thing on the host that Blast owns and applies as one: an
// nftables ruleset, a cgroup, a package generation. Its address is
// "<kind>.<name>", unique in an environment.
type Object struct {
	Addr  string          `json:"addr"`
	Attrs json.RawMessage `json:"attrs"` // the kind's own struct, as canonical JSON

	// Src says which place of the configuration each labelled part came from:
	// item name → "blast.hcl:12"; "" is the object itself. It explains and is
	// never compared, so moving a line in blast.hcl changes nothing.
	Src map[string]string `json:"src,omitempty"`

	// By names, by item, the variables that its value was made of, and where they
	// got theirs. Like Src, it only explains.
	By map[string]Makers `json:"by,omitempty"`

	// Needs are the addresses that the object stands on: they are made before it.
	Needs []string `json:"needs,omitempty"`
}

// NewObject makes an Object from a kind's own attribute struct.
func NewObject(addr string, attrs any, src map[string]string) Object {
	b, err := json.Marshal(attrs)
	if err != nil {
		panic(fmt.Sprintf("plan: attributes of %s: %v", addr, err)) //nolint:forbidigo // a struct that JSON can't hold is a bug in the kind, and no input makes one
	}
	return Object{Addr: addr, Attrs: b, Src: src} // Marshal writes no white space
}

// With returns the object with other attributes, and all that explains it.
func (o Object) With(attrs any) Object {
	n := NewObject(o.Addr, attrs, o.Src)
	n.By, n.Needs = o.By, o.Needs
	return n
}

// Decode reads the attributes into v.
func (o Object) Decode(v any) error {
	if err := json.Unmarshal(o.Attrs, v); err != nil {
		return fmt.Errorf("attributes of %s: %w", o.Addr, err)
	}
	return nil
}

// Kind returns the part of the address that names the owner of the object.
func (o Object) Kind() string { return kindOf(o.Addr) }

// Digest identifies the attributes: 12 hex digits of their SHA-256. Where two
// generations of an object stand side by side, each is named by its digest.
func (o Object) Digest() string { return Digest(o.Attrs) }

// Digest is the name of a generation with these attributes. See Object.Digest.
func Digest(attrs json.RawMessage) string {
	sum := sha256.Sum256(Canonical(attrs))
	return hex.EncodeToString(sum[:6])
}

// A Change takes one object from one state to another. A nil side means "not
// there". Both sides nil means that nothing was observed but something was
// recorded: whatever is left of it is to be removed.
type Change struct {
	Addr string          `json:"addr"`
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// Reverse returns the change that undoes c. There is no other kind of undo.
func (c Change) Reverse() Change { return Change{c.Addr, c.To, c.From} }

// Kind returns the part of the address that names the owner of the object.
func (c Change) Kind() string { return kindOf(c.Addr) }

// Sides decodes both sides of the change into from and to, and reports which
// of them are there.
func (c Change) Sides(from, to any) (hasFrom, hasTo bool, err error) {
	if c.From != nil {
		if err := json.Unmarshal(c.From, from); err != nil {
			return false, false, fmt.Errorf("%s: old attributes: %w", c.Addr, err)
		}
	}
	if c.To != nil {
		if err := json.Unmarshal(c.To, to); err != nil {
			return false, false, fmt.Errorf("%s: new attributes: %w", c.Addr, err)
		}
	}
	return c.From != nil, c.To != nil, nil
}

func kindOf(addr string) string { k, _, _ := strings.Cut(addr, "."); return k }

// Canonical drops the white space that a pretty-printed file brings in. What has none
// is returned as it is.
func Canonical(raw json.RawMessage) json.RawMessage {
	if raw == nil || compact(raw) {
		return raw
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// compact reports whether a JSON text has no white space outside of strings. Nearly
// all have none, and to look costs a fraction of what json.Compact does.
func compact(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ' ', '\t', '\n', '\r':
			return false
		case '"':
			n := textEnd(raw[i+1:])
			if n < 0 {
				return false
			}
			i += n + 1
		}
	}
	return true
}

// textEnd is where the string ends that text is the inside of; -1 if it doesn't.
func textEnd(text []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for j := i - 1; j >= 0 && text[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
		i++
	}
}
