package tags

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
)

// WheelName is what the name of a wheel says.
type WheelName struct {
	Name    string // normalised (PEP 503)
	Version pep440.Version
	Build   Build
	Tags    []Tag // compressed sets spelled out
}

// Build orders wheels of the same version; the zero Build is lowest.
type Build struct {
	Number pep440.Number // "" when there is none
	Suffix string
}

// Compare returns -1, 0 or 1.
func (b Build) Compare(o Build) int {
	if c := b.Number.Compare(o.Number); c != 0 {
		return c
	}
	return strings.Compare(b.Suffix, o.Suffix)
}

// NameError says why a file's name can't be understood.
type NameError struct {
	File   string
	Reason string
}

func (e *NameError) Error() string { return fmt.Sprintf("file name %q: %s", e.File, e.Reason) }

const (
	// maxName bounds the bytes of a name: file systems take 255.
	maxName = 255
	// maxTags bounds what compressed sets spell out.
	maxTags = 1000
)

// ParseWheelName reads "name-version(-build)?-python-abi-platform.whl".
func ParseWheelName(file string) (WheelName, error) {
	fail := func(reason string) (WheelName, error) { return WheelName{}, &NameError{file, reason} }
	stem, ok := strings.CutSuffix(file, ".whl")
	if !ok {
		return fail("it doesn't end in .whl")
	}
	if len(file) > maxName {
		return fail(fmt.Sprintf("it is longer than %d bytes", maxName))
	}
	parts := strings.Split(stem, "-")
	if len(parts) != 5 && len(parts) != 6 {
		return fail("it doesn't have the parts name-version-python-abi-platform, with a build number or not")
	}
	if !validWheelName(parts[0]) {
		return fail(fmt.Sprintf("%q is no project's name", parts[0]))
	}
	w := WheelName{Name: pep508.NormalizeName(parts[0])}
	var err error
	if w.Version, err = pep440.Parse(parts[1]); err != nil {
		return fail(err.Error())
	}
	if len(parts) == 6 {
		if w.Build, ok = parseBuild(parts[2]); !ok {
			return fail(fmt.Sprintf("the build %q doesn't begin with a digit", parts[2]))
		}
	}
	if w.Tags, err = expand(parts[len(parts)-3:]); err != nil {
		return fail(err.Error())
	}
	return w, nil
}

// validWheelName accepts letters and digits of any script, as indexes do for
// old files, but not the escape "__".
func validWheelName(s string) bool {
	for _, r := range s {
		if r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return s != "" && !strings.Contains(s, "__")
}

func parseBuild(s string) (Build, bool) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if n == 0 {
		return Build{}, false
	}
	digits := strings.TrimLeft(s[:n-1], "0") + s[n-1:n]
	return Build{pep440.Number(digits), s[n:]}, true
}

// expand spells out "py2.py3-none-any".
func expand(sets []string) ([]Tag, error) {
	var choices [3][]string
	total := 1
	for i, set := range sets {
		choices[i] = strings.Split(strings.ToLower(set), ".")
		for _, c := range choices[i] {
			if !validTagPart(c) || i == 0 && !unicode.IsLetter(rune(c[0])) {
				return nil, fmt.Errorf("%s is no part of a tag", strconv.Quote(c))
			}
		}
		total *= len(choices[i])
	}
	if total > maxTags {
		return nil, fmt.Errorf("it has more than %d tags", maxTags)
	}
	out := make([]Tag, 0, total)
	for _, python := range choices[0] {
		for _, abi := range choices[1] {
			for _, platform := range choices[2] {
				out = append(out, Tag{python, abi, platform})
			}
		}
	}
	return out, nil
}

func validTagPart(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
