package pep440

import "strings"

// Equal reports whether v and o are the same version: 1.0 is 1.0.0.
func (v Version) Equal(o Version) bool { return v.Compare(o) == 0 }

// Compare returns -1, 0 or 1 as v is below, the same as or above o, in the
// order of PEP 440: 1.0.dev1 < 1.0a1 < 1.0rc1 < 1.0 < 1.0+local < 1.0.post1.
func (v Version) Compare(o Version) int {
	if c := v.comparePublic(o); c != 0 {
		return c
	}
	return compareLocal(v.local, o.local)
}

// comparePublic compares without local labels.
func (v Version) comparePublic(o Version) int {
	if c := v.compareRelease(o); c != 0 {
		return c
	}
	if c := v.comparePre(o); c != 0 {
		return c
	}
	if c := v.post.Compare(o.post); c != 0 { // none is lowest
		return c
	}
	return compareDev(v.dev, o.dev)
}

// compareRelease compares epoch and release; missing numbers count as zero.
func (v Version) compareRelease(o Version) int {
	if c := v.epoch.Compare(o.epoch); c != 0 {
		return c
	}
	for i := range max(len(v.release), len(o.release)) {
		if c := at(v.release, i).Compare(at(o.release, i)); c != 0 {
			return c
		}
	}
	return 0
}

func at(release []Number, i int) Number {
	if i < len(release) {
		return release[i]
	}
	return "0"
}

// comparePre compares the pre-release part: 1.0.dev1 is below 1.0a1, which is
// below 1.0.
func (v Version) comparePre(o Version) int {
	if c := v.preRank() - o.preRank(); c != 0 {
		return sign(c)
	}
	return v.pre.Compare(o.pre)
}

func (v Version) preRank() int {
	switch {
	case v.phase != noPhase:
		return int(v.phase)
	case v.post == "" && v.dev != "":
		return -1
	}
	return int(candidate) + 1
}

// compareDev puts "none" above every development release.
func compareDev(a, b Number) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	return a.Compare(b)
}

// compareLocal compares labels segment by segment: none is lowest, words are
// below numbers, a longer label is above its beginning.
func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if c := compareSegment(a[i], b[i]); c != 0 {
			return c
		}
	}
	return sign(len(a) - len(b))
}

func compareSegment(a, b string) int {
	switch na, nb := isDigits(a), isDigits(b); {
	case na && nb:
		return Number(a).Compare(Number(b))
	case na:
		return 1
	case nb:
		return -1
	}
	return strings.Compare(a, b)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
