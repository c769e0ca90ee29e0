package tags

import (
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
)

// SdistName is what the name of a source distribution says.
type SdistName struct {
	Name    string // normalised (PEP 503)
	Version pep440.Version
}

// ParseSdistName reads "name-version.tar.gz" or, for old files, ".zip".
func ParseSdistName(file string) (SdistName, error) {
	fail := func(reason string) (SdistName, error) { return SdistName{}, &NameError{file, reason} }
	stem, ok := strings.CutSuffix(file, ".tar.gz")
	if !ok {
		stem, ok = strings.CutSuffix(file, ".zip")
	}
	if !ok {
		return fail("it ends neither in .tar.gz nor in .zip")
	}
	if len(file) > maxName {
		return fail(fmt.Sprintf("it is longer than %d bytes", maxName))
	}
	i := strings.LastIndexByte(stem, '-')
	if i < 0 {
		return fail("no - separates name and version")
	}
	if !pep508.ValidName(stem[:i]) {
		return fail(fmt.Sprintf("%q is no project's name", stem[:i]))
	}
	v, err := pep440.Parse(stem[i+1:])
	if err != nil {
		return fail(err.Error())
	}
	return SdistName{pep508.NormalizeName(stem[:i]), v}, nil
}
