package signature

import (
	"bytes"
	"crypto/ed25519"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// fixed is a key that is the same in each process, and what it signs.
func fixed(f *testing.F) (allowed AllowedSigners, armored []byte) {
	f.Helper()
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	s, err := ofProcess("", key, nil)
	if err != nil {
		f.Fatal(err)
	}
	if armored, err = Sign(f.Context(), s, Namespace, message); err != nil {
		f.Fatal(err)
	}
	return AllowedSigners{[]allowedLine{{number: 1, principals: alice, key: key.PublicKey()}}}, armored
}

// Whatever the text, what is accepted is the one signature that the key makes of
// the message.
func FuzzVerify(f *testing.F) {
	allowed, good := fixed(f)
	f.Add(good)
	f.Add(bytes.TrimSpace(good))
	f.Add(bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	f.Add(append([]byte("x"), good...))
	f.Add(good[:len(good)-40])
	f.Add([]byte(header + footer))
	one, err := dearmor(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		who, err := Verify(text, message, Namespace, allowed, time.Time{})
		if err != nil {
			if who != "" {
				t.Errorf("%q and an error", who)
			}
			return
		}
		if e, err := dearmor(text); err != nil || !bytes.Equal(ssh.Marshal(e), ssh.Marshal(one)) {
			t.Errorf("another signature is accepted: %v\n%s", err, text)
		}
	})
}

// What is read has a key of a known type and somebody who has it, in each line.
func FuzzParseAllowedSigners(f *testing.F) {
	allowed, armored := fixed(f)
	key := alice + " %s" + string(ssh.MarshalAuthorizedKey(allowed.lines[0].key))
	for _, options := range []string{"", `namespaces="a,b" `, `valid-after="20260101Z",valid-before="20270101" `, "cert-authority ", `namespaces="\"" `, `namespaces="`, `x=",` + "\t"} {
		f.Add(strings.Replace(key, "%s", options, 1))
	}
	f.Add("# x\n\n\"a b\" " + strings.Replace(key[len(alice)+1:], "%s", "", 1))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAllowedSigners([]byte(text))
		if err != nil {
			if len(a.lines) > 0 {
				t.Error("lines and an error")
			}
			return
		}
		for _, l := range a.lines {
			if l.principals == "" || checkKey(l.key) != nil || l.number < 1 || l.number > strings.Count(text, "\n")+1 {
				t.Errorf("line %+v of %q", l, text)
			}
		}
		if len(a.For(alice).lines) > len(a.lines) {
			t.Error("a part has more lines than the whole")
		}
		if _, err := Verify(armored, message, "another", a, time.Time{}); err == nil {
			t.Error("a list makes a signature one for something else")
		}
	})
}

// Patterns mean what ssh_config(5) says, here written as an expression.
func FuzzMatchPattern(f *testing.F) {
	f.Add("*@example.com", alice)
	f.Add("a*b?c**", "axxbxc")
	f.Add("*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, p, s string) {
		want := regexp.MustCompile("^(?s:" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(latin(p))) + ")$")
		if got := matchPattern(latin(p), latin(s)); got != want.MatchString(latin(s)) {
			t.Errorf("%q matches %q: %v", p, s, got)
		}
	})
}

// latin has one byte per character, as a pattern sees them.
func latin(s string) string {
	return strings.Map(func(r rune) rune { return r % 128 }, s)
}
