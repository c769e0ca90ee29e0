package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func whole() Command {
	return Command{
		Args: []string{"python", "-c", "pass", ""}, Env: []string{"A=", "PATH=/bin:/usr/bin"}, Dir: "/workspace",
		Terminal: 5, Rows: 24, Cols: 80,
		Rlimits: []Rlimit{{Resource: 7, Soft: 1024, Hard: ^uint64(0)}},
	}
}

func TestCommandRoundTrip(t *testing.T) {
	for _, c := range []Command{whole(), {Args: []string{"true"}, Dir: "/"}} {
		got, err := ParseCommand(c.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, *got); diff != "" {
			t.Errorf("-sent +received\n%s", diff)
		}
	}
	if c := whole(); c.Fds() != 1 {
		t.Errorf("Fds() = %d with two terminals, want 1", c.Fds())
	}
}

// Every prefix and every prolongation of a good message is refused, so nothing
// of a message can go unread.
func TestCommandIsReadToTheByte(t *testing.T) {
	c := whole()
	good := c.Append(nil)
	for n := range good {
		if _, err := ParseCommand(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("first %d of %d bytes: %v", n, len(good), err)
		}
	}
	if _, err := ParseCommand(append(good, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("one byte too many: %v", err)
	}
}

func TestCommandRefused(t *testing.T) {
	for name, change := range map[string]func(*Command){
		"no arguments":          func(c *Command) { c.Args = nil },
		"empty name":            func(c *Command) { c.Args[0] = "" },
		"NUL in argument":       func(c *Command) { c.Args[1] = "a\x00b" },
		"NUL in environment":    func(c *Command) { c.Env[1] = "A=\x00" },
		"NUL in folder":         func(c *Command) { c.Dir = "/a\x00" },
		"variable without name": func(c *Command) { c.Env[0] = "=x" },
		"variable without sign": func(c *Command) { c.Env[0] = "A" },
		"relative folder":       func(c *Command) { c.Dir = "workspace" },
		"no folder":             func(c *Command) { c.Dir = "" },
		"fourth stdio":          func(c *Command) { c.Terminal = 8 },
		"soft above hard":       func(c *Command) { c.Rlimits[0] = Rlimit{7, 2, 1} },
		"unknown rlimit":        func(c *Command) { c.Rlimits[0].Resource = 16 },
		"too many rlimits":      func(c *Command) { c.Rlimits = make([]Rlimit, 17) },
	} {
		c := whole()
		change(&c)
		if _, err := ParseCommand(c.Append(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, ErrMalformed)
		}
	}
}

func TestHugeCountsTakeNoMemory(t *testing.T) {
	b := binary.LittleEndian.AppendUint32(nil, 1<<32-1)
	b = append(b, make([]byte, 64)...)
	if n := testing.AllocsPerRun(10, func() { _, _ = ParseCommand(b) }); n > 5 {
		t.Errorf("%v allocations for a count that can't be true", n)
	}
}

func TestHeader(t *testing.T) {
	f := Frame(Run, []byte("abc"))
	k, n, err := Header(f, 3)
	if k != Run || n != 3 || err != nil || !bytes.Equal(f[HeaderSize:], []byte("abc")) {
		t.Fatalf("Header = %c %d %v", k, n, err)
	}
	for name, c := range map[string]struct {
		at   int
		to   byte
		want error
	}{
		"magic":    {0, 'X', ErrNotWire},
		"version":  {1, Version + 1, ErrVersion},
		"reserved": {3, 1, ErrNotWire},
		"length":   {4, 4, ErrTooLong},
		"length 2": {7, 0x80, ErrTooLong},
	} {
		g := bytes.Clone(f)
		g[c.at] = c.to
		if _, _, err := Header(g, 3); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestReplies(t *testing.T) {
	for e, code := range map[Exit]int{{false, 3}: 3, {true, 15}: 143, {true, 9}: 137} {
		got, err := ParseExit(e.Append(nil))
		if err != nil || got != e || got.Code() != code {
			t.Errorf("%+v: %+v %d %v", e, got, got.Code(), err)
		}
	}
	f, err := ParseFailure(Failure{CodeNotFound, "no\x1b[2J such\u009b2J \xff\u202e \u00fc"}.Append(nil))
	if err != nil || f.Code != CodeNotFound || f.Message != "no?[2J such?2J ?? \u00fc" {
		t.Errorf("%+v %v", f, err)
	}
	if n := len(Failure{CodeFailed, strings.Repeat("x", 1<<20)}.Append(nil)); n > MaxReply {
		t.Errorf("a failure of %d bytes", n)
	}
	for _, b := range [][]byte{nil, {1}, {2, 0}, {0, 0, 0}} {
		if _, err := ParseExit(b); err == nil {
			t.Errorf("exit % x was accepted", b)
		}
	}
	if _, err := ParseFailure([]byte{0}); err == nil {
		t.Error("a failure with code 0 was accepted")
	}
}
