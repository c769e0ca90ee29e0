package wire

import (
	"encoding/binary"
	"strings"
)

// A Command is what a client wants to be run.
type Command struct {
	Args []string // at least one; the first is looked up in PATH of Env unless it has a slash
	Env  []string // NAME=value
	Dir  string   // absolute

	// Terminal has a bit for each of stdin, stdout and stderr (1, 2, 4) that is
	// to be a terminal of the sandbox's own. The others come with the frame, in
	// that order.
	Terminal byte
	Rows     uint16 // size of the terminal
	Cols     uint16

	Rlimits []Rlimit
}

// Rlimit is one pair of setrlimit(2). Init never raises a hard limit.
type Rlimit struct {
	Resource byte // RLIMIT_NOFILE, …
	Soft     uint64
	Hard     uint64
}

// StdioBits are the bits of Command.Terminal.
const StdioBits = 1<<0 | 1<<1 | 1<<2

// Bounds of a Command.
const (
	maxStrings  = 1 << 16
	maxRlimits  = 16 // as many as there are: see getrlimit(2)
	maxResource = 15 // RLIMIT_RTTIME
)

// Fds is the number of descriptors that come with the frame.
func (c *Command) Fds() int {
	n := 0
	for bit := range 3 {
		if c.Terminal&(1<<bit) == 0 {
			n++
		}
	}
	return n
}

// Append encodes c.
func (c *Command) Append(b []byte) []byte {
	b = appendStrings(b, c.Args)
	b = appendStrings(b, c.Env)
	b = appendString(b, c.Dir)
	b = append(b, c.Terminal)
	b = binary.LittleEndian.AppendUint16(b, c.Rows)
	b = binary.LittleEndian.AppendUint16(b, c.Cols)
	b = append(b, byte(len(c.Rlimits)))
	for _, l := range c.Rlimits {
		b = append(b, l.Resource)
		b = binary.LittleEndian.AppendUint64(b, l.Soft)
		b = binary.LittleEndian.AppendUint64(b, l.Hard)
	}
	return b
}

// ParseCommand decodes a Command. What it returns without an error can be given
// to execve(2): no string has a NUL, Dir is absolute, there is an Args[0].
func ParseCommand(b []byte) (*Command, error) {
	r := reader{b: b}
	c := &Command{Args: r.strings(), Env: r.strings(), Dir: r.string()}
	c.Terminal = r.byte()
	c.Rows, c.Cols = r.uint16(), r.uint16()
	for n := r.count(maxRlimits); n > 0 && !r.bad; n-- {
		c.Rlimits = append(c.Rlimits, Rlimit{Resource: r.byte(), Soft: r.uint64(), Hard: r.uint64()})
	}
	if r.bad || len(r.b) > 0 || !c.valid() {
		return nil, ErrMalformed
	}
	return c, nil
}

func (c *Command) valid() bool {
	if len(c.Args) == 0 || c.Args[0] == "" || !strings.HasPrefix(c.Dir, "/") || c.Terminal&^StdioBits != 0 {
		return false
	}
	for _, l := range c.Rlimits {
		if l.Resource > maxResource || l.Soft > l.Hard {
			return false
		}
	}
	for _, s := range c.Env {
		if strings.IndexByte(s, '=') < 1 {
			return false
		}
	}
	return true
}

func appendStrings(b []byte, ss []string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ss)))
	for _, s := range ss {
		b = appendString(b, s)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// A reader takes values off the front of b. After the first one that isn't
// there it is bad and returns zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) count(limit byte) byte {
	n := r.byte()
	if n > limit {
		r.bad = true
	}
	return n
}

func (r *reader) uint16() uint16 {
	if p := r.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) string() string {
	n := r.uint32()
	if uint64(n) > uint64(len(r.b)) {
		r.bad = true
	}
	s := string(r.take(int(n)))
	if strings.IndexByte(s, 0) >= 0 {
		r.bad = true
	}
	return s
}

// strings reads a list. Each entry takes four bytes at least, so a short
// message can't ask for a long list.
func (r *reader) strings() []string {
	n := r.uint32()
	if n > maxStrings || uint64(n)*4 > uint64(len(r.b)) {
		r.bad = true
	}
	if r.bad || n == 0 {
		return nil
	}
	ss := make([]string, 0, n)
	for range n {
		ss = append(ss, r.string())
	}
	return ss
}
