package hostname

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"Example.COM": "example.com", "example.com.": "example.com", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"_dmarc.example.com": "_dmarc.example.com", "a": "a", long + ".example": long + ".example",
		"": "", ".": "", "a..b": "", ".a": "", "a..": "", "-a.example": "", "a-.example": "", "a.b-": "",
		"a\x00.example": "", `a\000.example`: "", "exa\u212ample.com": "", "b\u00fccher.example": "",
		`a\.example.com`: "", "a b": "", "a/b": "", "*.example.com": "", "[::1]": "", long + "a.example": "",
		strings.Repeat("a.", 128): "",
	} {
		got, ok := Normalize(in)
		if got != want && ok || ok != (want != "") {
			t.Errorf("Normalize(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestLabel(t *testing.T) {
	for host, want := range map[string]string{"api.github.com": "api-github-com", "192.0.2.7": "192-0-2-7", "2001:db8::1": "2001-db8--1", "A.B": "a-b"} {
		if got := Label(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
