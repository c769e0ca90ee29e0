package pep440

import "strings"

// phase orders the kinds of pre-release.
type phase uint8

const (
	noPhase phase = iota
	alpha
	beta
	candidate
)

func (p phase) String() string { return [...]string{"", "a", "b", "rc"}[p] }

// Version is one version of a project. The zero Version is below every other
// and stands for "none". Compare versions with Compare or Equal, not with ==.
type Version struct {
	text    string // as written, with any space around it; "===" compares it
	epoch   Number
	release []Number
	phase   phase
	pre     Number
	post    Number
	dev     Number
	local   []string // lower case; numbers without leading zeros
}

// IsZero reports whether v is no version at all.
func (v Version) IsZero() bool { return len(v.release) == 0 }

// Epoch returns the number before "!", usually "0".
func (v Version) Epoch() Number { return v.epoch }

// Release returns the dotted numbers as written, trailing zeros included.
func (v Version) Release() []Number { return append([]Number(nil), v.release...) }

// ReleaseAt returns the i-th release number, 0 when there is none.
func (v Version) ReleaseAt(i int) int {
	if i < 0 || i >= len(v.release) {
		return 0
	}
	return v.release[i].Int()
}

// IsPrerelease reports whether v is an alpha, beta, candidate or development
// release.
func (v Version) IsPrerelease() bool { return v.phase != noPhase || v.dev != "" }

// IsDev reports whether v is a development release.
func (v Version) IsDev() bool { return v.dev != "" }

// IsPost reports whether v is a post-release.
func (v Version) IsPost() bool { return v.post != "" }

// Local returns the local label in normal form, without "+": "ubuntu.1".
func (v Version) Local() string { return strings.Join(v.local, ".") }

// Public returns v without its local label.
func (v Version) Public() Version {
	if len(v.local) == 0 {
		return v
	}
	v.local = nil
	v.text = v.String()
	return v
}

// Text returns the version as it was written.
func (v Version) Text() string { return v.text }

// String returns the normal form: "1.0rc1" for "v1.0-RC.1".
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	var b strings.Builder
	if v.epoch != "0" {
		b.WriteString(string(v.epoch) + "!")
	}
	for i, n := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(string(n))
	}
	if v.phase != noPhase {
		b.WriteString(v.phase.String() + string(v.pre))
	}
	if v.post != "" {
		b.WriteString(".post" + string(v.post))
	}
	if v.dev != "" {
		b.WriteString(".dev" + string(v.dev))
	}
	if len(v.local) > 0 {
		b.WriteString("+" + v.Local())
	}
	return b.String()
}

// MarshalText writes the normal form.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads any form that Parse reads.
func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = Parse(string(b))
	return err
}
