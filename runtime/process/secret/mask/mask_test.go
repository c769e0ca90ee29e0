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

// In base64 what stands around a value shifts its digits.
func TestBase64OfMore(t *testing.T) {
	const long = "correct horse battery staple"
	for _, text := range []string{long + "\n", "TOKEN=" + long, "T=" + long + "&x", "to:" + long + "@db", long} {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
			was := enc.EncodeToString([]byte(text))
			got := of(long).Hide(was)
			left, _ := enc.DecodeString(strings.ReplaceAll(got, mask.Mark, ""))
			for i := 0; i+4 <= len(long); i++ {
				if strings.Contains(string(left), long[i:i+4]) || got == was {
					t.Errorf("%q: %s leaves %q", text, got, left)
				}
			}
		}
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
