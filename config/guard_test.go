package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"blast.example/blast/config"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// Each kind of unreadable source gets a sentence of its own, at its place.
func TestGuard(t *testing.T) {
	many := strings.Repeat
	for name, c := range map[string]struct{ src, want string }{
		"large":          {many("# text\n", 1<<20), "1:1 File too large"},
		"UTF-16":         {"\xff\xfen\x00", "1:1 File is UTF-16"},
		"UTF-16 big":     {"\xfe\xff\x00n", "1:1 File is UTF-16"},
		"mark":           {"\xef\xbb\xbfnetwork {\n}\n", "1:1 Byte order mark"},
		"Latin-1":        {"# caf\xe9\n", "1:6 Not UTF-8"},
		"NUL":            {"env = {\n  A = \"a\x00\"\n}\n", "2:9 NUL character"},
		"CR":             {"# a\r# b\n", "1:4 Carriage return without newline"},
		"bidi":           {"# é\u202e x\n", "1:4 Bidirectional control character"},
		"isolate":        {"# \u2066\n", "1:3 Bidirectional control character"},
		"merge":          {"a = 1\n<<<<<<< HEAD\n", "2:1 Merge conflict marker"},
		"merge end":      {">>>>>>> branch\n", "1:1 Merge conflict marker"},
		"deep list":      {"a = " + many("[", 200000) + "\n", "1:105 Nested too deep"},
		"deep call":      {"a = " + many("f(", 200000) + "\n", "1:206 Nested too deep"},
		"deep block":     {many("a {\n", 200000), "101:3 Nested too deep"},
		"deep template":  {"a = " + many(`"${`, 200000) + "\n", "1:306 Nested too deep"},
		"deep object":    {"a = " + many("{a=", 200000) + "\n", "1:305 Nested too deep"},
		"many minus":     {"a = " + many("-", 200000) + "1\n", "1:1005 Expression too long"},
		"many not":       {"a = " + many("!", 200000) + "true\n", "1:1005 Expression too long"},
		"many plus":      {"a = 1" + many(" + 1", 200000) + "\n", "1:4007 Expression too long"},
		"many condition": {"a = " + many("a ? b : ", 200000) + "c\n", "1:4007 Expression too long"},
		"many index":     {"a = b" + many("[c]", 200000) + "\n", "1:3008 Expression too long"},
		"many if":        {"a = \"" + many("%{ if a }", 200000) + "\"\n", "1:9014 Expression too long"},
		"exponent":       {"a = 1e1000000000\n", "1:5 Number out of bounds"},
		"digits":         {"a = " + many("1", 2000) + "\n", "1:5 Number out of bounds"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := load(t, project(t, c.src), options())
			if len(diags) == 0 {
				t.Fatal("accepted")
			}
			d := diags[0]
			if got := fmt.Sprintf("%d:%d %s", d.Subject.Start.Line, d.Subject.Start.Column, d.Summary); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if !strings.HasSuffix(d.Detail, ".") || d.Detail == d.Summary {
				t.Errorf("detail %q", d.Detail)
			}
			if err := config.Guard([]byte(c.src), "blast.hcl"); err == nil {
				t.Error("Guard accepts it")
			}
		})
	}
}

// What people write passes.
func TestGuardAccepts(t *testing.T) {
	for name, src := range map[string]string{
		"empty":      "",
		"CRLF":       "network {\r\n}\r\n",
		"underline":  "env = {\n  A = <<EOT\nTitle\n=======\nEOT\n}\n",
		"long list":  "locals {\n  a = [" + strings.Repeat("1 + 1, ", 5000) + "]\n}\n",
		"many lines": "locals {\n" + strings.Repeat("  # x\n", 5000) + "  a = -1\n}\n",
		"emoji":      "# 👩‍💻 naïve\n",
		"big number": "locals {\n  a = 1.5e100\n}\n",
	} {
		if _, diags := load(t, project(t, src), options()); len(diags) > 0 {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

// No source makes Load panic or hang, and what is wrong is always said somewhere
// that can be shown.
func FuzzLoad(f *testing.F) {
	for _, src := range []string{
		"", "network {\n  egress \"a\" {\n    domains = [\"x.org\"]\n    ports = [443]\n  }\n}\n",
		"variable \"v\" {\n  type = map(list(string))\n  default = {}\n}\nenv = { for k, v in var.v : k => v[0] }\n",
		"locals {\n  a = local.b\n  b = [for x in range(3) : \"${x}%{ if x > 1 }y%{ endif }\"]\n}\n",
		"environment \"e\" {\n  filesystem {\n    workspace {\n      hide = [\"a/\"]\n    }\n    mount \"/m\" {\n      source = \"models\"\n    }\n  }\n}\n",
		"resource {\n  cpu {\n    max = 0.5\n  }\n  rlimit \"core\" {\n    soft = \"1MiB\"\n  }\n}\n",
		"package \"a\" {\n  version = \">= 1\"\n  marker = \"os_name == 'posix'\"\n}\noutput \"o\" {\n  value = environment.x[*].y\n}\n",
		"blast {\n  required_version = \"~> 0.1\"\n}\nprocess {\n  user = \"1000\"\n}\n", "a = <<-E\n  ${try(x, 1)}\nE\n",
	} {
		f.Add([]byte(src))
	}
	dir := project(f, "")
	f.Fuzz(func(t *testing.T, src []byte) {
		write(t, dir+"/blast.hcl", string(src))
		file, diags := load(t, dir, options())
		for _, d := range diags {
			if d.Subject == nil || d.Summary == "" || d.Detail == "" {
				t.Errorf("diagnostic without place or text: %+v", d)
			}
		}
		var b strings.Builder
		config.WriteDiagnostics(&b, file.Sources, diags, false, 80)
		if !diags.HasErrors() {
			again, _ := load(t, dir, options())
			if !reflect.DeepEqual(again.Basis, file.Basis) {
				t.Error("the same file has two bases")
			}
		}
		config.Format(src)
	})
}
