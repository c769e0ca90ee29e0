package config_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
)

func mustLoad(t *testing.T, dir string, opts config.Options) *config.File {
	t.Helper()
	f, diags := load(t, dir, opts)
	if len(diags) > 0 {
		t.Fatalf("unexpected:\n%s", lines(dir, diags))
	}
	return f
}

// vars are the environment variables that the first environment sets beyond the
// defaults.
func vars(t *testing.T, f *config.File) map[string]string {
	t.Helper()
	var e process.Environment
	for _, o := range f.Environments[0].Objects {
		if o.Addr == process.EnvironmentAddr {
			if err := o.Decode(&e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "USER", "VIRTUAL_ENV"} {
		delete(e.Vars, name)
	}
	return e.Vars
}

func TestExample(t *testing.T) {
	src, err := os.ReadFile("../blast.hcl.example")
	if err != nil {
		t.Fatal(err)
	}
	f := mustLoad(t, project(t, string(src)), options())
	if len(f.Environments) != 1 || f.Environments[0].Name != "dev" {
		t.Errorf("environments %+v", f.Environments)
	}
	for _, w := range words() {
		found := slices.ContainsFunc(f.Environments[0].Objects, func(o plan.Object) bool { return o.Kind() == w.Name() })
		if !found {
			t.Errorf("the example makes no object of kind %s", w.Name())
		}
	}
	// Every word that may be written is in the example.
	for _, w := range words() {
		for _, a := range w.Schema().Attributes {
			if !bytes.Contains(src, []byte(a.Name+" = ")) {
				t.Errorf("the example has no %s", a.Name)
			}
		}
		for _, b := range w.Schema().Blocks {
			if !bytes.Contains(src, []byte(b.Type+" ")) {
				t.Errorf("the example has no block %s", b.Type)
			}
		}
	}
	if out := config.Format(src); !bytes.Equal(out, src) {
		t.Errorf("the example is not formatted:\n%s", cmp.Diff(string(src), string(out)))
	}
}

func TestShapes(t *testing.T) {
	for src, want := range map[string][]string{
		"":                                     {"default"},
		"network {\n}\n":                       {"default"},
		"variable \"x\" {\n  default = 1\n}\n": {"default"},
		"environment \"b\" {\n}\nenvironment \"a\" {\n}\n": {"b", "a"},
	} {
		f := mustLoad(t, project(t, src), options())
		var names []string
		for _, e := range f.Environments {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%q makes %v, want %v", src, names, want)
		}
	}
}

// Places of what nobody wrote are where the environment begins.
func TestPlaces(t *testing.T) {
	f := mustLoad(t, project(t, "\nenvironment \"dev\" {\n  resource {\n    pids {\n      max = 70\n    }\n  }\n}\n"), options())
	for _, o := range f.Environments[0].Objects {
		want := map[string]string{"": "blast.hcl:2"}
		switch o.Addr {
		case "resource.limits":
			want = map[string]string{"": "blast.hcl:3", "pids": "blast.hcl:4", "pids.max": "blast.hcl:5"}
		case "resource.rlimits":
			want = map[string]string{"": "blast.hcl:3"}
		}
		if d := cmp.Diff(want, o.Src); d != "" {
			t.Errorf("%s:\n%s", o.Addr, d)
		}
	}
}

// Each source overrides the one before, as in Terraform.
func TestPrecedence(t *testing.T) {
	dir := project(t, "variable \"v\" {\n  type    = string\n  default = \"default\"\n}\nenv = {\n  V = var.v\n}\n")
	file := filepath.Join(t.TempDir(), "x.blastvars")
	write(t, file, "v = \"file\"\n")
	opts := options()
	check := func(want string) {
		t.Helper()
		if got := vars(t, mustLoad(t, dir, opts))["V"]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("default")
	opts.Environ = []string{"BLAST_VAR_v=environ", "BLAST_VAR_other=ignored"}
	check("environ")
	write(t, filepath.Join(dir, "a.auto.blastvars"), "v = \"a\"\n")
	check("a")
	write(t, filepath.Join(dir, "b.auto.blastvars"), "v = \"b\"\n")
	check("b")
	opts.VarFiles = []string{file}
	check("file")
	opts.Vars = []string{"v=one"}
	check("one")
	opts.Vars = append(opts.Vars, "v=two=2")
	check("two=2")
}

func TestVariableTypes(t *testing.T) {
	src := `
variable "list" {
  type = list(string)
}
variable "number" {
  type = number
}
variable "object" {
  type = object({ name = string, port = optional(number, 80) })
}
variable "any" {
}
locals {
  joined = join("-", var.list)
}
env = {
  A = "${local.joined} ${var.number} ${var.object.name} ${var.object.port} ${var.any}"
}
`
	opts := options()
	opts.Vars = []string{`list=["a", "b"]`, "number=8", `object={name = "x"}`, "any=[1]"}
	if got := vars(t, mustLoad(t, project(t, src), opts))["A"]; got != "a-b 8 x 80 [1]" {
		t.Errorf("got %q", got)
	}
	opts.Vars = []string{`list=["a"`, "number=x", `object={}`, "any=1", "nubmer=1", "nothing"}
	dir := project(t, src)
	_, diags := load(t, dir, opts)
	var got []string
	for _, d := range diags {
		got = append(got, d.Subject.Filename+": "+d.Summary)
	}
	want := []string{
		"--var: Invalid --var", "--var list: Unreadable value", "--var nubmer: Unknown variable",
		"--var number: Wrong type of value", "--var object: Wrong type of value",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestValueFileMistakes(t *testing.T) {
	dir := project(t, "variable \"v\" {\n  default = 1\n}\n")
	write(t, filepath.Join(dir, "x.auto.blastvars"), "w = 1\nv = local.x\nb {\n}\n")
	_, diags := load(t, dir, options())
	want := `x.auto.blastvars1:1-1:2 error: Unknown variable
	No variable "w" is declared in blast.hcl, so a value for it changes nothing. Did you mean "v"?
x.auto.blastvars2:5-2:12 error: Unknown name
	There is nothing named "local" here; values are named var.NAME and local.NAME.
x.auto.blastvars3:1-3:2 error: Unknown block
	A file of variable values holds NAME = VALUE and no blocks. Put b into blast.hcl.
`
	if d := cmp.Diff(want, lines(dir, diags)); d != "" {
		t.Error(d)
	}
}

func TestFunctions(t *testing.T) {
	dir := project(t, `
env = {
  FILE   = trimspace(file("data.txt"))
  EXISTS = "${fileexists("data.txt")} ${fileexists("none")}"
  HOME   = env("HOME")
  NONE   = env("NONE", "default")
  ROOT   = tostring(path.root == path.module)
  TRY    = try(file("none"), "fallback")
  RE     = replace("a1b2", "/[0-9]/", "-")
}
`)
	write(t, filepath.Join(dir, "data.txt"), "text\n")
	opts := options()
	opts.Environ = []string{"HOME=/home/me"}
	got := vars(t, mustLoad(t, dir, opts))
	want := map[string]string{"FILE": "text", "EXISTS": "true false", "NONE": "default", "ROOT": "true", "TRY": "fallback", "RE": "a-b-"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A file that is read must lie in the project, by name and by link.
func TestFileStaysInTheProject(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "hush")
	for _, name := range []string{secret, "../secret", "way-out", "models", "fifo"} {
		dir := project(t, "env = {\n  A = file(\""+name+"\")\n}\n")
		write(t, filepath.Join(filepath.Dir(dir), "secret"), "hush")
		if err := errors.Join(os.Symlink(secret, filepath.Join(dir, "way-out")), mkfifo(filepath.Join(dir, "fifo"))); err != nil {
			t.Fatal(err)
		}
		_, diags := load(t, dir, options())
		if len(diags) != 1 || diags[0].Summary != "Invalid function argument" {
			t.Errorf("file(%q): %v", name, diags)
		}
	}
}

// What was made from other things says from which.
func TestBasisTellsWhatMoved(t *testing.T) {
	dir := project(t, "variable \"v\" {\n  default = \"x\"\n}\nvariable \"pin\" {\n  default   = \"1234\"\n  sensitive = true\n}\nenv = {\n  A = file(\"data.txt\")\n  B = env(\"B\", \"\")\n}\n")
	data := filepath.Join(dir, "data.txt")
	write(t, data, "one")
	opts := options()
	was := mustLoad(t, dir, opts).Basis
	next := func(want ...string) {
		t.Helper()
		now := mustLoad(t, dir, opts).Basis
		if diff := cmp.Diff(want, plan.Plan{Basis: was}.Moved(plan.Plan{Basis: now})); diff != "" {
			t.Error(diff)
		}
		was = now
	}
	next()
	write(t, data, "two")
	next("configuration: a value that blast.hcl reads from elsewhere")
	opts.Environ = []string{"B=b"}
	next("configuration: a value that blast.hcl reads from elsewhere")
	opts.Vars = []string{"v=y"}
	next("variable: v")
	write(t, filepath.Join(dir, "x.auto.blastvars"), "# nothing\n")
	next("configuration: x.auto.blastvars")
	if _, ok := was.Variables["pin"]; ok {
		t.Error("a sensitive value has a digest, by which it could be guessed")
	}
}

func TestFind(t *testing.T) {
	dir := project(t, "")
	got, err := config.Find(filepath.Join(dir, "models", "inner"))
	if err != nil || got != filepath.Join(dir, "blast.hcl") {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err = config.Find(filepath.Join(dir, "link", "inner")); err != nil || got != filepath.Join(dir, "blast.hcl") {
		t.Errorf("through a link: %q, %v", got, err)
	}
	if _, err := config.Find(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

// The project's own name may be a link; blast.hcl itself may not.
func TestLinks(t *testing.T) {
	dir := project(t, "")
	other := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(dir, other); err != nil {
		t.Fatal(err)
	}
	if f := mustLoad(t, other, options()); f.Project != dir {
		t.Errorf("project is %s, want %s", f.Project, dir)
	}
	if err := os.Rename(filepath.Join(dir, "blast.hcl"), filepath.Join(dir, "real.hcl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.hcl", filepath.Join(dir, "blast.hcl")); err != nil {
		t.Fatal(err)
	}
	_, diags := load(t, dir, options())
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "symbolic link") {
		t.Errorf("linked blast.hcl: %v", diags)
	}
}

func TestCRLF(t *testing.T) {
	src := "env = {\n  A = <<-EOT\n    one\n    two\n  EOT\n}\n"
	want := vars(t, mustLoad(t, project(t, src), options()))
	got := vars(t, mustLoad(t, project(t, strings.ReplaceAll(src, "\n", "\r\n")), options()))
	if d := cmp.Diff(want, got); d != "" || want["A"] != "one\ntwo\n" {
		t.Errorf("%q, %s", want["A"], d)
	}
}

func TestRequiredVersion(t *testing.T) {
	for constraint, want := range map[string]bool{
		">= 0.1": true, "0.1.0": true, "~> 0.1": true, "~> 0.1.0": true, "!= 0.1.0": false, "< 1, > 0.0.9": true,
		"~> 0.2": false, "> 0.1.0": false, "<= 0.0.9": false, "= 0.1": true, "latest": false, ">> 1": false, "": true, "1.2.3.4": false,
	} {
		_, diags := load(t, project(t, "blast {\n  required_version = \""+constraint+"\"\n}\n"), options())
		if diags.HasErrors() == want {
			t.Errorf("%q: %v", constraint, diags)
		}
	}
}

func TestWriteDiagnostics(t *testing.T) {
	dir := project(t, "network {\n  egress \"a\" {\n    domains = [\"EXAMPLE.com\", \"*.com\"]\n    ports   = [443]\n  }\n}\nx = 1\n")
	f, diags := load(t, dir, options())
	var b strings.Builder
	config.WriteDiagnostics(&b, f.Sources, diags, false, 78)
	want := `Error: Invalid target
  on blast.hcl:3,31
    3 |     domains = ["EXAMPLE.com", "*.com"]
      |                               ^^^^^^^
  "*.com" is too wide: it names everything below "com"; write a name below it,
  such as "*.example.com".

Error: Unknown argument
  on blast.hcl:7,1
    7 | x = 1
      | ^
  blast.hcl has no argument "x". Its arguments are: env, ttl.
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	config.WriteDiagnostics(&b, f.Sources, diags, true, 78)
	if !strings.Contains(b.String(), "\x1b[1;31mError:\x1b[0m") {
		t.Errorf("no colour in %q", b.String())
	}
}

func TestWriteDiagnosticsCountsTheRest(t *testing.T) {
	src := ""
	for range 30 {
		src += "\nx {\n}\n"
	}
	dir := project(t, src)
	f, diags := load(t, dir, options())
	if len(diags) != 30 {
		t.Fatalf("%d diagnostics", len(diags))
	}
	diags = append(diags, diags[0]) // the same twice is one
	var b strings.Builder
	config.WriteDiagnostics(&b, f.Sources, diags, false, 78)
	if n := strings.Count(b.String(), "Error: "); n != 20 || !strings.HasSuffix(b.String(), "... and 10 more.\n") {
		t.Errorf("%d shown, ends in %q", n, b.String()[max(0, b.Len()-40):])
	}
}

// What a file says must not draw over the terminal.
func TestWriteDiagnosticsIsPrintable(t *testing.T) {
	at := hcl.Range{Filename: "blast.hcl", Start: hcl.Pos{Line: 1, Column: 99}, End: hcl.Pos{Line: 3, Column: 1}}
	files := map[string]*hcl.File{"blast.hcl": {Bytes: []byte("a\x1b[2J\u202eb" + strings.Repeat("z", 500))}}
	var b strings.Builder
	config.WriteDiagnostics(&b, files, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "x\x1b", Detail: "y\x07\u200f\ufeff\u00a0", Subject: &at}, {Summary: "no place"}}, false, 10)
	if strings.ContainsAny(b.String(), "\x1b\x07\u202e\u200f\ufeff\u00a0") {
		t.Errorf("%q", b.String())
	}
}

// A manifest's line is shown as blast.hcl's own are.
func TestManifestSource(t *testing.T) {
	f, diags := load(t, project(t, "python {\n  manifest = \"requirements.txt\"\n}\n"), options())
	var b strings.Builder
	config.WriteDiagnostics(&b, f.Sources, diags, false, 78)
	if !strings.Contains(b.String(), "    3 | requests=>2\n") {
		t.Error(b.String())
	}
}
