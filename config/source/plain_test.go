package source

import (
	"os"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"":                     true,
		"# { [ ( \"\n":         true,
		"a = \"x {[(\" # \"\n": true,
		"network {\n  egress \"x\" {\n    ports = [443]\n  }\n}\n": true,
		"a = [\n" + strings.Repeat("  \"x\",\n", 5000) + "]\n":     true,
		"a = \"${b}\"\n":                         false,
		"a = \"\\\"\"\n":                         false,
		"a = <<E\n}\nE\n":                        false,
		"a = 1 /* { */\n":                        false,
		"a = \"x\n":                              false,
		"a = 1e5\n":                              false,
		"a = " + strings.Repeat("(", 101):        false,
		"a = " + strings.Repeat("1+", 1001):      false,
		"a = " + strings.Repeat("1", 1001):       false,
		"a = (\n" + strings.Repeat("1+\n", 1001): false,
		"a = " + strings.Repeat("{", 60) + strings.Repeat("[", 60): false,
	} {
		if got := plain([]byte(text)); got != want {
			t.Errorf("%.40q: plain = %v", text, got)
		}
	}
	example, err := os.ReadFile("../../blast.hcl.example")
	if err != nil {
		t.Fatal(err)
	}
	if len(example) < 1000 {
		t.Error("the example is too short to show anything")
	}
}

// What is plain keeps every bound: to leave the lexer out changes nothing.
func FuzzPlainIsWithinBounds(f *testing.F) {
	for _, s := range []string{"a = [1, 2]\n", "b \"x\" {\n  c = f(d) ? 1 : 2 # {\n}\n", "a = \"${b}\"\n", "a = -(-(-1)) + 1.5 // x\n", "a = <<E\n}\nE\n", "a.b[0].*.c\n", "é = \"ü\"\n", "a = {\n", "}}}{{{\n"} {
		f.Add(s, 1)
		f.Add(s, 400)
	}
	f.Fuzz(func(t *testing.T, s string, times int) {
		if times < 1 || times > 1500 || len(s)*times > 1<<18 {
			return
		}
		src := []byte(strings.Repeat(s, times))
		if guardBytes(src, "x") != nil || len(guardRunes(src, "x")) > 0 || !plain(src) {
			return
		}
		if diags := guardDepth(src, "x"); len(diags) > 0 {
			t.Errorf("plain, and %v", diags)
		}
	})
}
