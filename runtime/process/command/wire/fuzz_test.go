package wire

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

// FuzzParseCommand: a message has one reading, and what it reads can be given to
// execve(2).
func FuzzParseCommand(f *testing.F) {
	c := whole()
	f.Add(c.Append(nil))
	f.Add((&Command{Args: []string{"true"}, Dir: "/"}).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCommand(b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Append(nil), b) {
			t.Error("a message has two readings")
		}
		if len(c.Args) == 0 || c.Args[0] == "" || !strings.HasPrefix(c.Dir, "/") || strings.Contains(strings.Join(append(append(c.Args, c.Env...), c.Dir), ""), "\x00") {
			t.Errorf("%+v is no command", c)
		}
		for _, v := range c.Env {
			if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
				t.Errorf("%q is no variable", v)
			}
		}
		if n := c.Fds(); n < 0 || n > 3 || len(c.Rlimits) > maxRlimits {
			t.Errorf("%d descriptors, %d rlimits", n, len(c.Rlimits))
		}
	})
}

// FuzzReplies: a sandbox's init can be anything. What it says has one reading, and draws
// nothing on a terminal.
func FuzzReplies(f *testing.F) {
	for _, b := range [][]byte{
		Frame(Exited, Exit{Signaled: true, Value: 9}.Append(nil)), Frame(Started, nil), Frame(Ready, []byte("0123456789ab")),
		Frame(Failed, Failure{CodeNotFound, "no\x1b[2J \u009b2J \xff\u202e"}.Append(nil)), Frame(Failed, nil), nil,
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, n, err := Header(b, MaxReply)
		if err != nil {
			return
		}
		if n < 0 || n > MaxReply {
			t.Fatalf("%d bytes", n)
		}
		payload := b[HeaderSize:min(HeaderSize+n, len(b))]
		if len(payload) == n && !bytes.HasPrefix(b, Frame(k, payload)) {
			t.Error("a frame has two readings")
		}
		if e, err := ParseExit(payload); err == nil && (!bytes.Equal(e.Append(nil), payload) || e.Code() < 0 || e.Code() > 128+255) {
			t.Errorf("%x is %+v", payload, e)
		}
		if f, err := ParseFailure(payload); err == nil && (f.Code < CodeFailed || f.Code > CodeNotFound || strings.ContainsFunc(f.Message, func(r rune) bool { return !unicode.IsPrint(r) }) || len(f.Message) > 3*len(payload)) {
			t.Errorf("%x is %+q", payload, f)
		}
	})
}
