package config_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/plan"
)

// hush is what must not be seen. Errors that cut it show parts.
const hush = "Zq7hushZq7"

const sensitive = `variable "token" {
  type      = string
  sensitive = true
}
variable "creds" {
  sensitive = true
  type      = map(string)
  default   = null
}
variable "plain" {
  default = "x"
}
locals {
  derived = "${var.token}!"
  list    = ["a", var.token]
}
`

// shown is everything that gets out of a load.
func shown(t *testing.T, f *config.File, diags hcl.Diagnostics) string {
	t.Helper()
	var b strings.Builder
	config.WriteDiagnostics(&b, f.Sources, diags, false, 200)
	made, err := json.Marshal(f.Environments)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := json.Marshal(f.Outputs)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(b.String(), diags, string(made), string(outs))
}

func withToken() config.Options {
	opts := options()
	opts.Environ = []string{"BLAST_VAR_token=" + hush, `BLAST_VAR_creds={ ` + hush + ` = "` + hush + `" }`}
	return opts
}

// Whatever is made of a sensitive value can't be stored.
func TestSensitiveIsNotStored(t *testing.T) {
	for _, expr := range []string{
		`var.token`, `local.derived`, `local.list[1]`, `"${var.token}"`, `"a ${var.token} b"`, `<<-EOT
		x ${var.token}
		EOT
		`, `"%{ if var.token == "x" }a%{ else }b%{ endif }"`,
		`var.token == "x" ? "a" : "b"`, `true ? "a" : var.token`, `upper(var.token)`, `substr(var.token, 0, 1)`, `join(",", local.list)`,
		`format("%s", var.token)`, `jsonencode({ a = var.token })`, `jsonencode(local.list)`, `tostring(length(var.token))`, `tostring(startswith(var.token, "Z"))`,
		`tostring(contains(local.list, "a"))`, `[for x in local.list : x][1]`, `{ for k, v in { a = var.token } : k => v }.a`, `join("", [for x in ["a", "b"] : x if var.token == "q"])`,
		`keys({ (var.token) = 1 })[0]`, `{ (var.token) = "v" }[var.token]`, `local.list.*[1]`, `var.creds`, `jsonencode(var.creds)`, `jsonencode(keys(var.creds))`, `split("h", var.token)[0]`, `try(var.token, "x")`,
		`try(tonumber(var.token), "x")`, `tostring(can(tonumber(var.token)))`, `tostring(can(regex("^Z", var.token)))`, `sensitive("x")`, `merge({ a = 1 }, { b = var.token }).b`, `coalesce(var.token, "x")`,
		`element(["a", "b"], length(var.token))`, `["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"][length(var.token)]`, `replace("a", "a", var.token)`, `regex("Z.", var.token)`, `zipmap([var.token], ["x"])[var.token]`,
		`lookup({ a = "x" }, var.token, "none")`, `strrev(var.token)`, `indent(2, var.token)`, `nonsensitive(local.list)[1]`, `reverse(local.list)[0]`, `tolist(toset(local.list))[0]`, `formatlist("%s", local.list)[0]`,
		`env(var.token, "x")`,
	} {
		src := sensitive + "env = {\n  X = " + expr + "\n}\n"
		f, diags := load(t, project(t, src), withToken())
		if !diags.HasErrors() {
			t.Errorf("%s is stored: %s", expr, f.Environments[0].Objects)
		}
		if text := shown(t, f, diags); strings.Contains(text, "Zq7") || !strings.Contains(text, "Sensitive value would be stored") {
			t.Errorf("%s:\n%s", expr, text)
		}
	}
	// The control: what is not made of it is stored.
	mustLoad(t, project(t, sensitive+"env = {\n  X = local.list[0]\n  Y = var.plain\n}\n"), withToken())
}

// An attribute of any kind, and of any block.
func TestSensitiveInAnyAttribute(t *testing.T) {
	for _, src := range []string{
		"resource {\n  memory {\n    max = var.token\n  }\n}\n", "resource {\n  pids {\n    max = length(var.token)\n  }\n}\n", "python {\n  index = [var.token]\n}\n",
		"network {\n  egress \"a\" {\n    domains = [var.token]\n    ports = [1]\n    reason = var.token\n  }\n}\n", "filesystem {\n  mount \"/x\" {\n    source = var.token\n  }\n}\n",
		"process {\n  user = var.token\n}\n", "secret \"A\" {\n  from = var.token\n}\n", "env = var.creds\n", "env = {\n  (var.token) = \"x\"\n}\n", "output \"o\" {\n  value = 1\n  description = var.token\n}\n",
	} {
		f, diags := load(t, project(t, sensitive+src), withToken())
		if text := shown(t, f, diags); strings.Contains(text, "Zq7") || !strings.Contains(text, "Sensitive value would be stored") {
			t.Errorf("%s:\n%s", src, text)
		}
	}
}

// An expression that fails doesn't say of what.
func TestSensitiveErrorsDontTell(t *testing.T) {
	for _, expr := range []string{
		`parseint(var.token, 10)`, `tonumber(var.token)`, `tobool(var.token)`, `jsondecode(var.token)`, `file(var.token)`, `fileexists("/${var.token}")`, `env(var.token)`,
		`regex(var.token, "x")`, `regex("(${var.token}", "x")`, `{ for k in [var.token, var.token] : k => 1 }`, `{}[var.token]`, `{ a = 1 }[var.token]`, `[1][var.token]`, `format("%d", var.token)`,
		`format(var.token, 1, 2)`, `substr(var.token, "a", 1)`, `var.token + 1`, `-var.token`, `!var.token`, `var.token ? 1 : 2`, `var.creds.absent`, `var.creds["absent"]`, `local.derived.x`, `csvdecode(var.token)`,
		`try(tonumber(var.token))`, `join(var.token, var.token)`, `merge(var.token)`, `var.token...`, `indent(1000000, var.token)`, `lookup({}, var.token)`, `element([], length(var.token))`, `split(1, var.token)[9]`, `chunklist([1], var.token)`,
	} {
		src := sensitive + "output \"o\" {\n  value = " + expr + "\n}\n"
		f, diags := load(t, project(t, src), withToken())
		if text := shown(t, f, diags); strings.Contains(text, "Zq7") || strings.Contains(text, "'Z'") {
			t.Errorf("%s:\n%s", expr, text)
		}
	}
	// The control: without the mark these tell.
	src := strings.ReplaceAll(sensitive, "sensitive = true", "") + "output \"o\" {\n  value = parseint(var.token, 10)\n}\n"
	f, diags := load(t, project(t, src), withToken())
	if text := shown(t, f, diags); !strings.Contains(text, hush) {
		t.Errorf("control: %s", text)
	}
}

func TestSensitiveOutput(t *testing.T) {
	f, diags := load(t, project(t, sensitive+"output \"o\" {\n  value = [local.list]\n}\noutput \"p\" {\n  value = var.plain\n}\n"), withToken())
	if text := shown(t, f, diags); len(f.Outputs) != 2 || strings.Contains(text, "Zq7") || f.Outputs[0].Text != "(sensitive value)" || f.Outputs[0].Value != nil || f.Outputs[1].Text != `"x"` {
		t.Errorf("%+v\n%s", f.Outputs, text)
	}
}

// To take the mark off is allowed, and said each time.
func TestNonsensitiveIsNoted(t *testing.T) {
	f, diags := load(t, project(t, sensitive+"env = {\n  X = nonsensitive(var.token)\n}\n"), withToken())
	if diags.HasErrors() || vars(t, f)["X"] != hush {
		t.Fatalf("%v %v", vars(t, f), diags)
	}
	if len(diags) != 1 || diags[0].Severity != hcl.DiagWarning || diags[0].Summary != "Sensitive value made public" || diags[0].Subject.Start.Line != 18 {
		t.Errorf("%v", diags)
	}
}

// What is wrong with values is said without them, and without their lines.
func TestSensitiveValuesWithMistakes(t *testing.T) {
	const checked = `variable "token" {
  type      = string
  sensitive = true
  default   = "12345678"

  validation {
    condition     = length(var.token) == 8
    error_message = "It is ${var.token}, which is too long."
  }
}
variable "pins" {
  type      = map(string)
  sensitive = true
  default   = {}
}
variable "plain" {
  type    = number
  default = 1
}
`
	for what, file := range map[string]string{
		"not valid":      `token = "` + hush + `"`,
		"without quotes": `token = ` + hush,
		"dotted":         `token = a.` + hush,
		"unfinished":     `token = "` + hush,
		"no equals":      `token "` + hush + `"`,
		"a call":         `token = f("` + hush + `")`,
		"a reference":    `token = var.` + hush,
		"a block":        "token {\n " + hush + " = \"" + hush + "\"\n}",
		"misspelled":     `tokn = "` + hush + `"`,
		"a bad escape":   `token = "\` + hush + `"`,
		"two":            "token = \"12345678\"\ntoken = \"" + hush + `"`,
		"of a type":      `pins = { ` + hush + ` = 5 }`,
		"of no type":     `pins = "` + hush + `"`,
		"binary":         "token = \"" + hush + "\x01\xff\"",
		"beside another": "token = \"12345678\" # " + hush + "\nplain = \"x" + hush + `"`,
		"merge marker":   "<<<<<<< " + hush,
	} {
		for _, name := range []string{"x.auto.blastvars", "given"} {
			dir := project(t, checked)
			write(t, filepath.Join(dir, name), file+"\n")
			opts := options()
			if name == "given" {
				opts.VarFiles = []string{filepath.Join(dir, name)}
			}
			f, diags := load(t, dir, opts)
			if text := shown(t, f, diags); !diags.HasErrors() || strings.Contains(text, "Zq7") {
				t.Errorf("%s, in %s:\n%s", what, name, text)
			}
			for _, d := range diags {
				if d.Subject == nil || d.Detail == "" {
					t.Errorf("%s: no place or no words: %v", what, d)
				}
			}
		}
	}
	for _, v := range []string{"BLAST_VAR_token=" + hush, "BLAST_VAR_pins=" + hush, "BLAST_VAR_pins={ " + hush + " = 5 }", "BLAST_VAR_pins={ a = " + hush + " }"} {
		opts := options()
		opts.Environ = []string{v}
		f, diags := load(t, project(t, checked), opts)
		if text := shown(t, f, diags); !diags.HasErrors() || strings.Contains(text, "Zq7") {
			t.Errorf("%s:\n%s", v, text)
		}
	}
	// The control: of files without sensitive values the lines are shown.
	dir := project(t, checked)
	write(t, filepath.Join(dir, "x.auto.blastvars"), "plain = \"see me\"\n")
	f, diags := load(t, dir, options())
	if text := shown(t, f, diags); !strings.Contains(text, `plain = "see me"`) {
		t.Errorf("control:\n%s", text)
	}
}

// By a digest of what is short it could be guessed.
func TestDigestLeavesSensitiveOut(t *testing.T) {
	dir := project(t, sensitive+"env = {\n  X = var.plain\n}\n")
	digest := func(token, plain string) string {
		write(t, filepath.Join(dir, "x.auto.blastvars"), fmt.Sprintf("token = %q\nplain = %q\n", token, plain))
		d, err := plan.Plan{Basis: mustLoad(t, dir, options()).Basis}.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	one := digest("1234", "x")
	if digest("5678", "x") != one {
		t.Error("the digest depends on a sensitive value")
	}
	if digest("1234", "y") == one {
		t.Error("control: it depends on no value")
	}
}

// The value itself, written into a secret block by mistake, isn't repeated.
func TestSecretWrittenByMistake(t *testing.T) {
	for _, line := range []string{"from = \"" + hush + "\"", "from = " + hush, "from = [\"" + hush + "\"]", "value = \"" + hush + "\"\n  from = \"env:X\"", "from = \"" + hush + ":x\"", "from = \"env:X\"\n  " + hush + "{\n  }"} {
		f, diags := load(t, project(t, "secret \"A\" {\n  "+line+"\n}\n"), options())
		text := shown(t, f, diags)
		if !diags.HasErrors() || strings.Contains(text, "Zq7") && !strings.Contains(line, hush+"{") {
			t.Errorf("%s:\n%s", line, text)
		}
	}
}
