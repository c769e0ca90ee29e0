// Package pathglob compares absolute paths with patterns, as a person writes them to
// name many files at once:
//
//	/workspace/src       that file or folder, and all below it
//	/workspace/*.pem     * is any text without a /, ? one such character, [a-z] one of them
//	/workspace/**/*.pem  ** is any number of folders, also none
//	*.pem                a pattern without a / is about any part of a path
//
// A \ takes the meaning from the character after it. What a pattern matches it matches
// with all that lies below.
package pathglob

import (
	"errors"
	"path"
	"strings"
)

// What is wrong with a pattern; see Check.
var (
	ErrRelative = errors.New("a pattern with / in it has to begin with /")
	ErrClean    = errors.New(`one of its parts is empty, "." or ".."`)
	ErrLong     = errors.New("it has more than 64 parts")
)

const maxParts = 64

const anyFolders = "**"

// Check reports what is wrong with a pattern. A syntax error is path.ErrBadPattern.
func Check(pattern string) error {
	if pattern == "/" {
		return nil
	}
	parts, rooted := split(pattern)
	if !rooted && len(parts) > 1 {
		return ErrRelative
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return ErrClean
		}
		if _, err := path.Match(p, ""); err != nil {
			return err
		}
	}
	if len(parts) > maxParts {
		return ErrLong
	}
	return nil
}

// Match reports whether a clean absolute path is what the pattern names, or lies below
// it. What Check refuses matches nothing.
func Match(pattern, name string) bool {
	parts, rooted := split(pattern)
	names, _ := split(name)
	if name == "/" {
		names = nil
	}
	if rooted {
		return pattern == "/" || match(parts, names)
	}
	for i := range names {
		if match(parts, names[i:i+1]) {
			return true
		}
	}
	return false
}

// Exact reports whether a clean absolute path is what the pattern names, and does not only
// lie below it.
func Exact(pattern, name string) bool {
	if !MayEnd(pattern, lastOf(name)) {
		return false // most names that anybody asks about
	}
	parts, rooted := split(pattern)
	if !rooted {
		return true
	}
	names, _ := split(name)
	return compare(parts, names, true)
}

// MayEnd reports whether a path that ends in a name may be what the pattern names.
func MayEnd(pattern, name string) bool {
	last := lastOf(pattern)
	return last == anyFolders || fits(last, name)
}

func lastOf(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// Any reports whether one of the patterns matches; none at all match everything.
func Any(patterns []string, name string) bool {
	for _, p := range patterns {
		if Match(p, name) {
			return true
		}
	}
	return len(patterns) == 0
}

// Base is the folder that everything lies in that an absolute pattern matches, or that
// itself; "/" if the pattern is not absolute.
func Base(pattern string) string {
	parts, rooted := split(pattern)
	if !rooted {
		return "/"
	}
	n := 0
	for n < len(parts) && !strings.ContainsAny(parts[n], `*?[\\`) {
		n++
	}
	return "/" + strings.Join(parts[:n], "/")
}

func split(s string) (parts []string, rooted bool) {
	rest, rooted := strings.CutPrefix(s, "/")
	return strings.Split(rest, "/"), rooted
}

// match compares part by part. Names that go on after the pattern has ended lie below.
// Where ** could match more than one number of folders the fewest will do, as what
// follows it may match any later part as well: so it goes back to the last one only.
func match(parts, names []string) bool { return compare(parts, names, false) }

// compare does that; whole asks for names that end with the pattern.
func compare(parts, names []string, whole bool) bool {
	i, n := 0, 0
	back, from := -1, 0 // behind the last **, and the name that it was tried at
	for i < len(parts) || whole && n < len(names) {
		switch {
		case i < len(parts) && parts[i] == anyFolders:
			i++
			back, from = i, n
		case i < len(parts) && n < len(names) && fits(parts[i], names[n]):
			i, n = i+1, n+1
		case back >= 0 && from < len(names):
			from++
			i, n = back, from
		default:
			return false
		}
	}
	return true
}

func fits(part, name string) bool {
	ok, err := path.Match(part, name)
	return err == nil && ok
}

// Literal is the one name that a pattern without *, ? and [ stands for.
func Literal(pattern string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			if i++; i == len(pattern) {
				return "", false
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String(), true
}

// Escape is the pattern that stands for one name; see Literal.
func Escape(name string) string { return escaper.Replace(name) }

var escaper = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// Below reports whether a pattern can match anything that lies below a clean absolute path
// and isn't matched itself. It may say so of a few more.
func Below(pattern, dir string) bool {
	parts, rooted := split(pattern)
	if !rooted || dir == "/" {
		return true
	}
	names, _ := split(dir)
	for i, name := range names {
		switch {
		case i == len(parts):
			return false
		case parts[i] == anyFolders:
			return true
		case !fits(parts[i], name):
			return false
		}
	}
	return len(parts) > len(names)
}

// Everything reports whether a pattern sets no name apart from any other.
func Everything(pattern string) bool { return strings.Trim(pattern, "*/") == "" }
