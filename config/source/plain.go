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
	quoted, run := false, 0 // run is how long a word or number is by now: a point may be in it
	for i, b := range line {
		if quoted {
			if b == '\\' || b == '{' && (line[i-1] == '$' || line[i-1] == '%') {
				return false // an escape, or a template
			}
			quoted = b != '"'
			continue
		}
		switch {
		case b == '#':
			return c.end()
		case b == '/':
			// Of a comment the rest of the line is no code; of a longer one, who knows.
			return i+1 < len(line) && line[i+1] == '/' && c.end()
		case b == '\\' || b == '<' && i+1 < len(line) && line[i+1] == '<':
			return false
		case b == '"':
			quoted = true
		case wordly(b) || (b == '.' || b >= 0x80) && c.symbol(b):
			if run++; run > maxChained || (b == 'e' || b == 'E') && i > 0 && (line[i-1] == '.' || line[i-1] >= '0' && line[i-1] <= '9') {
				return false // a number that may be out of bounds
			}
		case !c.symbol(b):
			return false
		}
		if !wordly(b) && b != '.' && b < 0x80 {
			run = 0
		}
	}
	return !quoted && c.end()
}

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

// wordly are the bytes of names and numbers, but for those beyond ASCII, which may be
// anything.
func wordly(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}
