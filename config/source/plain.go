package source

import "bytes"

// plain reports whether a source is so simple that its brackets and operators can be
// counted byte by byte, and keeps every bound of guardDepth by that count. Most files
// are, and lexing one costs as much as parsing it. In doubt it is not.
func plain(src []byte) bool {
	c := counter{links: []int{0}}
	for line := range bytes.Lines(src) {
		if !c.line(line) {
			return false
		}
	}
	return true
}

// counter is depth for a plain source.
type counter struct {
	open  []byte
	links []int // by level: what could be an operator in the expression around
}

func (c *counter) line(line []byte) bool {
	run := 0 // how long a word or number is by now: a point may be in it
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case b == '"':
			n := quoted(line[i:])
			if n == 0 {
				return false
			}
			i, run = i+n, 0
			continue
		case b == '#' || b == '/' && follows(line, i, '/'):
			return c.end() // a comment
		case doubtful(line, i) || !letter(b) && !digit(b) && !c.symbol(b):
			return false
		}
		if run++; run > maxChained {
			return false
		}
		if !letter(b) && !digit(b) && b != '.' && b < 0x80 {
			run = 0
		}
	}
	return c.end()
}

// quoted is how far it is to the other quote, or 0 for a text that is not plain: one
// with an escape, a template or no end.
func quoted(text []byte) int {
	n := bytes.IndexByte(text[1:], '"') + 1
	if n == 0 || bytes.IndexByte(text[:n], '\\') >= 0 || bytes.Contains(text[:n], []byte("${")) || bytes.Contains(text[:n], []byte("%{")) {
		return 0
	}
	return n
}

// doubtful is what is no code, begins a comment or text of several lines, or is the
// exponent of a number.
func doubtful(line []byte, i int) bool {
	switch line[i] {
	case '\\', '/':
		return true
	case '<':
		return follows(line, i, '<')
	case 'e', 'E':
		return i > 0 && (line[i-1] == '.' || digit(line[i-1]))
	}
	return false
}

func follows(line []byte, i int, b byte) bool { return i+1 < len(line) && line[i+1] == b }

// end is the end of a line, which ends an expression in a body. It is always true.
func (c *counter) end() bool {
	if len(c.open) == 0 || c.open[len(c.open)-1] == '{' {
		c.links[len(c.links)-1] = 0
	}
	return true
}

// symbol counts a byte that is no part of a word, and reports whether all bounds are
// kept.
func (c *counter) symbol(b byte) bool {
	switch b {
	case ' ', '\t', '\n', '\r':
	case ',':
		c.links[len(c.links)-1] = 0
	case '{', '(', '[':
		c.links[len(c.links)-1]++
		c.open, c.links = append(c.open, b), append(c.links, 0)
	case '}', ')', ']':
		if len(c.open) == 0 || c.open[len(c.open)-1] != opener[b] {
			return false
		}
		c.open, c.links = c.open[:len(c.open)-1], c.links[:len(c.links)-1]
	default:
		c.links[len(c.links)-1]++
	}
	return len(c.open) <= maxDepth && c.links[len(c.links)-1] < maxChained // the end of the file is a token, too
}

var opener = map[byte]byte{'}': '{', ')': '(', ']': '['}

func letter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' }

func digit(b byte) bool { return b >= '0' && b <= '9' }
