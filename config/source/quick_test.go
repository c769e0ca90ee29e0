package source

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// same fails unless quick makes of a source what HCL's parser does, or leaves it to that.
func same(t *testing.T, text string) (quickly bool) {
	t.Helper()
	src := []byte(text)
	if guardBytes(src, "x") != nil || len(guardRunes(src, "x")) > 0 || !plain(src) {
		return false
	}
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	got, _ := quick("x", src)
	if got == nil {
		return false
	}
	f, diags := hclsyntax.ParseConfig(src, "x", hcl.InitialPos)
	if len(diags) > 0 {
		t.Fatalf("%q is wrong, and was read: %v", text, diags)
	}
	if want := f.Body.(*hclsyntax.Body); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q:\n got %#v\nwant %#v", text, got, want)
	}
	return true
}

// What people write is read quickly, to the same tree.
func TestQuick(t *testing.T) {
	for _, text := range []string{
		"", "\n", " \n\n", "# c\n", "  // c\n\na = 1\n", "a = 1", "a = 1\n", "\ta\t=\t1\t\n", "a=1#c\n", "a = true\nb = false\nc = null\n",
		"a = \"x\"\n", "a = \"\"\n", "a = []\n", "a = [1, 2]\n", "a = [\n  1,\n  \"x\", # c\n  # d\n  [true],\n]\n", "a = [1,]\n",
		"a = b\n", "a = b.c[0]\n", "a = f(1, \"x\")\n", "a = f(\n1,\n2 # c\n)\n", "a = 1 + 2\n", "a = -1\n", "a = 1.5\n", "a = x ? \"y\" : \"z\" # c\n", "a = [1, b]\n", "a = [for x in y : x]\n",
		"a = {\n  B = \"c\"\n  D = 1, E = 2\n}\n", "a = {}\n", "a = { b = 1 }\n", "a = (1\n+ 2)\n", "a = \"x\" == \"y\"\n",
		"b {}\n", "b {\n}\n", "b { }\n", "b \"x\" {}\n", "b x \"y-z\" {\n  a = 1\n}\n", "b { a = 1 }\n", "b { a = [1, 2] } # c\n", "b { a = c.d }\n", "b { # c\n  a = 1\n}\n",
		"b {\n\n  c \"d\" {\n    e = \"f\"\n  }\n  # g\n  h = 2\n}\ni = 3", "b{}\nb{}\n", "a-b_c1 = 1\n", "a = \"x\"\r\nb {\r\n}\r\n", "a = 123456789012345678\n", "a = 1 # für\n",
	} {
		if !same(t, text) {
			t.Errorf("%q is left to HCL's parser", text)
		}
	}
	for _, pattern := range []string{"../../blast.hcl.example", "../testdata/*.hcl", "../../testfixtures/*/testdata/*.hcl"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			same(t, string(b))
		}
	}
}

// What is wrong, or more than plain, is for HCL's parser.
func TestQuickLeaves(t *testing.T) {
	for _, text := range []string{
		"a", "a =", "a = \n", "a = 1 b = 2\n", "a = 1\na = 2\n", "b {", "b {}}\n", "}\n", "b {} c {}\n", "b { a = 1\n}\n", "b { a = 1, c = 2 }\n", "\"a\" = 1\n", "b \"\" {}\n",
		"a = [1 2]\n", "a = [\n", "a = [1,,2]\n", "a = 1 # no end of line", "a = \"ü\"\n", "ü = 1\n", "aü = 1\n", "a => 1\n", "a == 1\n", "_a = 1\n", "a = ]\n", "b 1 {}\n", "a = 1 +\n2\n", "a = \"$\"\n b \"%\" {}\n",
	} {
		if same(t, text) {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzQuickIsTheParser(f *testing.F) {
	for _, s := range []string{"a = [1, 2]\n", "b \"x\" {\n  c = f(d) ? 1 : 2 # {\n}\n", "b { a = \"x\" }\n", "a = {\n  b = 1\n}\n", "a = (\n1 // x\n)\n", "a = 01\n", "a = 1.e\n", strings.Repeat("b {\n", 5)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { same(t, s) })
}
