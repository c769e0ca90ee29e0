package mask_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/process/secret/mask"
)

const value = "p@ss/w \"ö+"

func of(values ...string) mask.Mask {
	all := map[string]secret.Value{}
	for i, v := range values {
		all[fmt.Sprint(i)] = secret.NewValue(v)
	}
	return mask.Of(all)
}

func TestHide(t *testing.T) {
	m := of(value, "other")
	for _, way := range []string{value, url.QueryEscape(value), url.PathEscape(value), fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), base64.StdEncoding.EncodeToString([]byte(value)), "p@ss/w \\\"ö+", "other"} {
		for _, around := range []string{"", "x", "\n", value} {
			got := m.Hide("a " + around + way + around + " b")
			if strings.Contains(got, way) || !strings.HasPrefix(got, "a ") || !strings.HasSuffix(got, " b") || !strings.Contains(got, mask.Mark) {
				t.Errorf("%q in %q: %q", way, around, got)
			}
		}
	}
	if got := m.Hide("nothing p@ss to see"); got != "nothing p@ss to see" {
		t.Error(got)
	}
}

// One value may be part of another one.
func TestLongestFirst(t *testing.T) {
	if got := of("abc", "abcdef").Hide("abcdef abc abcd"); got != "*** *** ***d" {
		t.Error(got)
	}
}

func TestLines(t *testing.T) {
	m := of("-----BEGIN-----\nMIIEpAIBAAKCAQEA\n}\n")
	if got := m.Hide("}\nMIIEpAIBAAKCAQEA\n"); got != "}\n***\n" {
		t.Errorf("%q", got)
	}
}

func TestNothingToHide(t *testing.T) {
	for _, m := range []mask.Mask{{}, of(), of("")} {
		if got := m.Hide("text"); got != "text" {
			t.Error(got)
		}
	}
}
