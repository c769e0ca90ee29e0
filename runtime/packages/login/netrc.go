package login

import (
	"errors"
	"strings"

	"blast.example/blast/runtime/process/secret"
)

// lookUp finds a machine in a netrc file, or else its default entry. With a user only
// entries of that one count. The format is that of ftp(1) and of Python's netrc module:
// words between spaces, in quotes where they hold some; # begins a comment in place of
// a keyword; a macdef ends with an empty line.
func lookUp(text, host, user string) (b Basic, ok bool, err error) {
	r := &netrcReader{rest: text}
	var fallback *Basic
	for {
		key, more := r.keyword()
		if !more {
			break
		}
		name, isDefault := "", key == "default"
		switch {
		case key == "machine":
			if name, err = r.value("machine"); err != nil {
				return Basic{}, false, err
			}
		case key == "macdef":
			r.macro()
			continue
		case !isDefault:
			return Basic{}, false, errors.New("it has a word where machine or default should begin an entry, and so no entry can be told from another")
		}
		e, err := r.entry()
		switch {
		case err != nil:
			return Basic{}, false, err
		case user != "" && e.User != user:
		case strings.EqualFold(name, host):
			return e, true, nil
		case isDefault && fallback == nil:
			fallback = &e
		}
	}
	if fallback != nil {
		return *fallback, true, nil
	}
	return Basic{}, false, nil
}

type netrcReader struct{ rest string }

// keyword is the next word that is none of a comment.
func (r *netrcReader) keyword() (string, bool) {
	for {
		r.rest = strings.TrimLeft(r.rest, " \t\r\n")
		if !strings.HasPrefix(r.rest, "#") {
			break
		}
		_, r.rest, _ = strings.Cut(r.rest, "\n")
	}
	return r.word()
}

func (r *netrcReader) word() (string, bool) {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
	if r.rest == "" {
		return "", false
	}
	var b strings.Builder
	quoted := r.rest[0] == '"'
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(r.rest); i++ {
		c := r.rest[i]
		switch {
		case c == '\\' && i+1 < len(r.rest):
			i++
			b.WriteByte(r.rest[i])
			continue
		case quoted && c == '"':
			r.rest = r.rest[i+1:]
			return b.String(), true
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			r.rest = r.rest[i:]
			return b.String(), true
		}
		b.WriteByte(c)
	}
	r.rest = ""
	return b.String(), true
}

func (r *netrcReader) value(of string) (string, error) {
	v, ok := r.word()
	if !ok {
		return "", errors.New("it ends after " + of + ", where a value should be")
	}
	return v, nil
}

// entry reads what belongs to a machine, up to the next one.
func (r *netrcReader) entry() (b Basic, err error) {
	for {
		before := r.rest
		key, ok := r.keyword()
		switch {
		case ok && (key == "login" || key == "user"):
			b.User, err = r.value(key)
		case ok && key == "password":
			var p string
			p, err = r.value(key)
			b.Password = secret.NewValue(p)
		case ok && key == "account":
			_, err = r.value(key)
		default:
			r.rest = before
			return b, nil
		}
		if err != nil {
			return Basic{}, err
		}
	}
}

// macro leaves out a macro's definition.
func (r *netrcReader) macro() {
	text := strings.ReplaceAll(r.rest, "\r\n", "\n")
	_, r.rest, _ = strings.Cut(text, "\n\n")
}
