package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// options reads `name="value",name="value"`, names in any case. An option that isn't
// known might have narrowed what the line allows, so it is an error.
func (l *allowedLine) options(s string) error {
	seen := map[string]bool{}
	for s != "" {
		name, value, rest, err := cutOption(s)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("option %s is there twice", name)
		}
		seen[name] = true
		if err := l.option(name, value); err != nil {
			return err
		}
		s = rest
	}
	if !l.before.IsZero() && !l.after.IsZero() && !l.before.After(l.after) {
		return errors.New("valid-before is no later than valid-after, so the key would never count")
	}
	return nil
}

func (l *allowedLine) option(name, value string) (err error) {
	switch name {
	case "cert-authority":
		return errors.New("signatures by certificates are not accepted: name the keys themselves in place of their cert-authority")
	case "namespaces":
		if l.namespaces = value; value == "" {
			return errors.New("namespaces has no value, as namespaces=\"" + Namespace + "\"")
		}
	case "valid-after":
		l.after, err = parseTime(value)
	case "valid-before":
		l.before, err = parseTime(value)
	default:
		return fmt.Errorf("option %q is not known: namespaces, valid-after and valid-before are", name)
	}
	if err != nil {
		return fmt.Errorf("option %s: %w", name, err)
	}
	return nil
}

// cutOption takes the first option off s. A value is in quotes, \" in it is a quote.
func cutOption(s string) (name, value, rest string, err error) {
	end := strings.IndexAny(s, `=,`)
	if end < 0 || s[end] == ',' {
		name, rest, _ = strings.Cut(s, ",")
		return strings.ToLower(name), "", rest, more(s, rest)
	}
	name = strings.ToLower(s[:end])
	quoted, ok := strings.CutPrefix(s[end+1:], `"`)
	if !ok {
		return "", "", "", fmt.Errorf("the value of option %s must be in quotes", name)
	}
	var b strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == '\\' && i+1 < len(quoted) && quoted[i+1] == '"':
			i++
			b.WriteByte('"')
		case c == '"':
			rest, ok = strings.CutPrefix(quoted[i+1:], ",")
			if !ok && rest != "" {
				return "", "", "", fmt.Errorf("there is something behind the value of option %s", name)
			}
			return name, b.String(), rest, more(s, rest)
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", fmt.Errorf("the value of option %s has no closing quote", name)
}

// more refuses a comma that nothing follows.
func more(s, rest string) error {
	if rest == "" && strings.HasSuffix(s, ",") {
		return errors.New("the options end in a comma")
	}
	return nil
}

// parseTime reads YYYYMMDD[Z] and YYYYMMDDHHMM[SS][Z].
func parseTime(s string) (time.Time, error) {
	zone := time.Local
	digits := strings.TrimRight(s, "Zz")
	if len(s)-len(digits) == 1 {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) != len(layout) || len(s)-len(digits) > 1 {
			continue
		}
		if t, err := time.ParseInLocation(layout, digits, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write YYYYMMDD or YYYYMMDDHHMMSS, and Z behind it for UTC", s)
}

// matchList reports whether s matches one pattern of a list and none that has a !
// before it (ssh_config(5), PATTERNS).
func matchList(list, s string) bool {
	found := false
	for p := range strings.SplitSeq(list, ",") {
		p, not := strings.CutPrefix(p, "!")
		if !matchPattern(p, s) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// matchPattern knows * and ?. It goes back to the last * only, so it takes at most
// len(p) times len(s) steps.
func matchPattern(p, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}
