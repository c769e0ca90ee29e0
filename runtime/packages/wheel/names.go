package wheel

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkName allows only names that stay below the folder they are unpacked in,
// however they are joined and whoever reads them.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("it has no name")
	case len(name) > maxName:
		return fmt.Errorf("its name is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("its name is not UTF-8")
	case strings.Contains(name, `\`):
		return errors.New(`its name has a "\"`)
	case path.IsAbs(name):
		return errors.New("its name is absolute")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("its name has a control character")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("its name has a part %q", part)
		case len(part) > maxPart:
			return fmt.Errorf("its name has a part of more than %d bytes", maxPart)
		}
	}
	return nil
}

// claims are names that are taken, without regard to case: a wheel that means
// two files by "a" and "A" unpacks to something else where case doesn't count.
type claims map[string]claim

type claim struct {
	name   string
	folder bool
}

// claim takes the name of a file and those of the folders above it.
func (c claims) claim(name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if err := c.take(claim{name[:i], true}); err != nil {
			return err
		}
	}
	return c.take(claim{name, false})
}

func (c claims) take(n claim) error {
	key := fold(n.name)
	old, taken := c[key]
	switch {
	case !taken:
		c[key] = n
	case old == n && n.folder:
	case old.name == n.name && old.folder != n.folder:
		return fmt.Errorf("%q is both a file and a folder", clip(n.name))
	case old.name == n.name:
		return fmt.Errorf("%q is there twice", clip(n.name))
	default:
		return fmt.Errorf("%q and %q are equal but for case", clip(old.name), clip(n.name))
	}
	return nil
}

// fold maps names that differ only in case to one.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}

// clip keeps messages about hostile input short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
