package edit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/edit"
)

func parse(t *testing.T, src string) *edit.File {
	t.Helper()
	f, diags := edit.Parse([]byte(src), "blast.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f
}

var rule = []string{`egress "x" {`, `  ports = [1]`, `}`}

func TestAppend(t *testing.T) {
	for what, c := range map[string]struct{ src, want string }{
		"usual":        {"network {\n  default = \"deny\"\n}\n", "network {\n  default = \"deny\"\n\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
		"empty":        {"network {\n}\n", "network {\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
		"blank inside": {"network {\n\n}\n", "network {\n\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
		"one line":     {"network {}\n", "network {\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
		"one line with an argument": {"network { default = \"deny\" } # why\n",
			"network {\n  default = \"deny\"\n\n  egress \"x\" {\n    ports = [1]\n  }\n} # why\n"},
		"tabs":           {"network {\n\tdefault = \"deny\"\n}", "network {\n\tdefault = \"deny\"\n\n\tegress \"x\" {\n\t\tports = [1]\n\t}\n}"},
		"four":           {"network {\n    default = \"deny\"\n}\n", "network {\n    default = \"deny\"\n\n    egress \"x\" {\n        ports = [1]\n    }\n}\n"},
		"windows":        {"network {\r\n  default = \"deny\"\r\n}\r\n", "network {\r\n  default = \"deny\"\r\n\r\n  egress \"x\" {\r\n    ports = [1]\r\n  }\r\n}\r\n"},
		"comment at end": {"network {\n  # } no\n}\n", "network {\n  # } no\n\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
		"brace behind":   {"network {\n  default = \"deny\"\n  /* { */ }\n", "network {\n  default = \"deny\"\n  /* { */\n\n  egress \"x\" {\n    ports = [1]\n  }\n}\n"},
	} {
		f := parse(t, c.src)
		b, ok := f.Top().Block("network")
		if !ok {
			t.Fatal("no network")
		}
		b.Append(rule)
		got := string(f.Bytes())
		if what == "brace behind" { // readable is enough
			if _, diags := hclsyntax.ParseConfig([]byte(got), "", hcl.InitialPos); diags.HasErrors() || !strings.Contains(got, "/* { */") {
				t.Errorf("%s: %v\n%s", what, diags, got)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

func TestAppendToFile(t *testing.T) {
	for src, want := range map[string]string{
		"":               "egress \"x\" {\n  ports = [1]\n}\n",
		"# a\n":          "# a\n\negress \"x\" {\n  ports = [1]\n}\n",
		"# a\n\n":        "# a\n\negress \"x\" {\n  ports = [1]\n}\n",
		"a = 1":          "a = 1\n\negress \"x\" {\n  ports = [1]\n}\n",
		"a = 1\r\nb = 2": "a = 1\r\nb = 2\r\n\r\negress \"x\" {\r\n  ports = [1]\r\n}\r\n",
	} {
		f := parse(t, src)
		f.Top().Append(rule)
		if d := cmp.Diff(want, string(f.Bytes())); d != "" {
			t.Errorf("%q: %s", src, d)
		}
	}
}

func TestLengthen(t *testing.T) {
	for src, want := range map[string]string{
		"b {\n  p = [443]\n}":                                 "b {\n  p = [443, 80]\n}",
		"b {\n  p = [443,]\n}":                                "b {\n  p = [443, 80,]\n}",
		"b {\n  p = [ 443 /* , */ ] # c\n}":                   "b {\n  p = [ 443, 80 /* , */ ] # c\n}",
		"b {\n  p = [\n    443,\n    8443\n  ]\n}":            "b {\n  p = [\n    443,\n    8443,\n    80,\n  ]\n}",
		"b {\n  p = [\n    443, # web, no\n  ]\n}":            "b {\n  p = [\n    443, # web, no\n    80,\n  ]\n}",
		"b {\n  p = [\n    443 # web, no\n    # more\n  ]\n}": "b {\n  p = [\n    443, # web, no\n    # more\n    80,\n  ]\n}",
		"b {\r\n  p = [\r\n    443,\r\n  ]\r\n}":              "b {\r\n  p = [\r\n    443,\r\n    80,\r\n  ]\r\n}",
		"b {\n  p = [443,\n    8443]\n}":                      "b {\n  p = [443,\n    8443, 80]\n}",
		"b {\n  p = var.p\n}":                                 "",
		"b {\n  p = concat([443], [1])\n}":                    "",
		"b {\n  p = []\n}":                                    "",
		"b {\n  q = [1]\n}":                                   "",
		"b {\n  p = [for x in [443] : x]\n}":                  "",
	} {
		f := parse(t, src)
		b, _ := f.Top().Block("b")
		if got := b.Lengthen("p", "80"); got != (want != "") {
			t.Errorf("%q: %v", src, got)
		}
		if want == "" {
			want = src
		}
		if d := cmp.Diff(want, string(f.Bytes())); d != "" {
			t.Errorf("%q: %s", src, d)
		}
	}
}

func TestDiff(t *testing.T) {
	was := "a\nb\nc\nd\ne\nf\n"
	got := strings.Join(edit.Diff([]byte(was), []byte("a\nb\nc\nX\nd\ne\nF\n")), "\n")
	want := "   2   b\n   3   c\n   4 + X\n   5   d\n   6   e\n     - f\n   7 + F"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := edit.Diff([]byte(was), []byte(was)); d != nil {
		t.Error(d)
	}
}
