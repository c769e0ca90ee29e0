package view

import "strings"

// maxCode is how many characters of one text a review shows.
const maxCode = 300

// tame returns a text for a block or span of code in Markdown: one line, bounded,
// and without anything that begins a tag or a comment. Code is shown as it stands,
// so nothing in it would work; but a bot that looks for its marker, or a renderer
// that reads HTML first, shall not find any either.
func tame(s string) string {
	s = cut(oneLine(s), maxCode)
	if !strings.Contains(s, "<") {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == '<' && i+1 < len(s) && opens(s[i+1]) {
			r = '‹'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// opens reports whether a character after < makes it a tag, comment or the like.
func opens(c byte) bool {
	return c == '/' || c == '!' || c == '?' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// span is a text as code in a line of Markdown, where no name calls anybody and no
// address is a link. Nothing is an empty text.
func span(s string) string {
	if s = tame(s); strings.TrimSpace(s) == "" {
		return ""
	}
	fence := strings.Repeat("`", longest(s, '`')+1)
	if s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' && s[len(s)-1] == ' ' {
		s = " " + s + " "
	}
	return fence + s + fence
}

// longest is the length of the longest run of a character.
func longest(s string, c byte) int {
	most, run := 0, 0
	for i := range len(s) {
		if run++; s[i] != c {
			run = 0
		}
		most = max(most, run)
	}
	return most
}

// label is a name for a place where only the tamest will do, such as a comment of
// HTML: letters, digits, ".", "_" and "-".
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, cut(s, maxLabel))
}

const maxLabel = 100
