package pep440

import "strings"

// Contains reports whether v satisfies every clause. Pre-releases count like
// any other version; see Filter for the policy.
func (ss Specifiers) Contains(v Version) bool {
	for _, s := range ss {
		if !s.Contains(v) {
			return false
		}
	}
	return true
}

// Contains reports whether v satisfies the clause.
func (s Specifier) Contains(v Version) bool {
	switch s.Op {
	case Arbitrary:
		return strings.EqualFold(v.text, s.Text)
	case Equal:
		return s.equals(v)
	case NotEqual:
		return !s.equals(v)
	case Compatible:
		return v.comparePublic(s.Version) >= 0 && hasPrefix(v, s.Version, len(s.Version.release)-1)
	case LessOrEqual:
		return v.comparePublic(s.Version) <= 0
	case GreaterOrEqual:
		return v.comparePublic(s.Version) >= 0
	case Less:
		return v.Compare(s.Version.earliest()) < 0
	case Greater:
		return s.below(v)
	}
	return false
}

// equals is "==": local labels count only when the clause has one.
func (s Specifier) equals(v Version) bool {
	switch {
	case s.Prefix:
		return hasPrefix(v, s.Version, len(s.Version.release))
	case len(s.Version.local) == 0:
		return v.comparePublic(s.Version) == 0
	}
	return v.Compare(s.Version) == 0
}

// hasPrefix compares epoch and the first n release numbers.
func hasPrefix(v, prefix Version, n int) bool {
	if v.epoch != prefix.epoch {
		return false
	}
	for i := range n {
		if at(v.release, i) != at(prefix.release, i) {
			return false
		}
	}
	return true
}

// earliest is the first version that "<v" must leave out: v itself when it is a
// pre-release, else its first development release, since pre-releases of v are
// not below v in a person's mind.
func (v Version) earliest() Version {
	v.local = nil
	if !v.IsPrerelease() {
		v.dev = "0"
	}
	return v
}

// below is ">": neither a local build nor a post-release of the clause's own
// version is above it.
func (s Specifier) below(v Version) bool {
	if v.comparePublic(s.Version) <= 0 {
		return false
	}
	own := s.Version.post == "" && s.Version.dev == "" && v.post != "" &&
		v.compareRelease(s.Version) == 0 && v.comparePre(s.Version) == 0
	return !own
}
