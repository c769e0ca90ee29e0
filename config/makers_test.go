package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config"
	"blast.example/blast/plan"
)

// madeOf is what one item of the first environment was made of, as a plan says it.
func madeOf(t *testing.T, f *config.File, addr, item string) string {
	t.Helper()
	for _, o := range f.Environments[0].Objects {
		if o.Addr == addr {
			return fmt.Sprint(o.By[item])
		}
	}
	t.Fatalf("no %s", addr)
	return ""
}

const memory = `variable "memory" {
  type    = string
  default = "1GiB"
}

resource {
  memory {
    max = var.memory
  }
  pids {
    max = 64
  }
}
`

func TestEachSourceOfAVariableIsNamed(t *testing.T) {
	dir := project(t, memory)
	other := filepath.Join(t.TempDir(), "other.blastvars")
	write(t, other, "\nmemory = \"5GiB\"\n")
	opts := options()
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() {}, "[var.memory = 1GiB (default, blast.hcl:3)]"},
		{func() { opts.Environ = []string{"BLAST_VAR_memory=2GiB"} }, "[var.memory = 2GiB (BLAST_VAR_memory)]"},
		{func() { write(t, filepath.Join(dir, "dev.auto.blastvars"), "# mine\n\nmemory = \"3GiB\"\n") }, "[var.memory = 3GiB (dev.auto.blastvars:3)]"},
		{func() { opts.VarFiles = []string{other} }, "[var.memory = 5GiB (" + other + ":2)]"},
		{func() { opts.Vars = []string{"memory=4GiB"} }, "[var.memory = 4GiB (--var memory)]"},
	} {
		c.change()
		f := mustLoad(t, dir, opts)
		for item, want := range map[string]string{"memory.max": c.want, "memory": c.want, "pids.max": "[]", "pids": "[]", "": "[]"} {
			if got := madeOf(t, f, "resource.limits", item); got != want {
				t.Errorf("%q was made of %s, want %s", item, got, want)
			}
		}
	}
}

// Whatever leads to a variable counts.
func TestMakersAreFoundInExpressions(t *testing.T) {
	const declared = `variable "a" {
  default = "x"
}
variable "list" {
  type    = list(number)
  default = [81, 82]
}
locals {
  plain  = 1
  one    = "${var.a}/y"
  two    = [local.one, local.plain]
  all    = local.one == "" ? env("HOSTS", "") : ""
}
`
	const a, list = "var.a = x (default, blast.hcl:2)", "var.list = [81, 82] (default, blast.hcl:6)"
	for expr, want := range map[string]string{
		`"x"`:                                  "[]",
		`"x-${var.a}"`:                         "[" + a + "]",
		`var["a"]`:                             "[" + a + "]",
		`upper(var.a)`:                         "[" + a + "]",
		`true ? "x" : var.a`:                   "[" + a + "]",
		`local.one`:                            "[" + a + "]",
		`local["one"]`:                         "[" + a + "]",
		`local.two[0]`:                         "[" + a + "]",
		`tostring(local.plain)`:                "[]",
		`join(",", [for a in ["p", "q"] : a])`: "[]", // not var.a
		`join(",", [for n in var.list : "${n}-${var.a}"])`:      "[" + list + " " + a + "]",
		`"%{for n in var.list}${n}%{endfor}"`:                   "[" + list + "]",
		`try(var.list[0], var.a) == 1 ? "x" : "y"`:              "[" + list + " " + a + "]",
		`env("EDITOR", "vi")`:                                   "[env EDITOR]",
		`"${env("EDITOR", "vi")} ${env("ED${"ITOR"}", var.a)}"`: "[" + a + " env EDITOR]",
		`local.all`: "[" + a + " env HOSTS]",
		`"${[for n in ["A"] : env(n, "")][0]}${local.one}"`:               "[" + a + " env]",
		`join(",", [for k, v in local : k if k != "two"])`:                "[" + a + " env HOSTS]",
		`join(",", [for k, v in var : k])`:                                "[var]",
		`var[env("WHICH", "a")]`:                                          "[var env WHICH]",
		`"${var.a}${var.a}${local.one}"`:                                  "[" + a + "]",
		`env("evil\u001b[2J${join("", [for i in range(50) : "x"])}", "")`: "[env evil?[2J" + strings.Repeat("x", 32) + "...]",
	} {
		f := mustLoad(t, project(t, declared+"network {\n  egress \"x\" {\n    domains = [\"example.com\"]\n    ports   = [443]\n    reason  = "+expr+"\n  }\n}\n"), options())
		for _, item := range []string{"egress.x.reason", "egress.x"} {
			if got := madeOf(t, f, "network.policy", item); got != want {
				t.Errorf("%s: %s was made of %s, want %s", expr, item, got, want)
			}
		}
		if got := madeOf(t, f, "network.policy", "egress.x.ports"); got != "[]" {
			t.Errorf("%s: ports were made of %s", expr, got)
		}
	}
}

// What a plan never shows, and what is long or drawn, is not shown by this either.
func TestMakersTellNoSecrets(t *testing.T) {
	const src = `variable "token" {
  default = "hunter2"
}
variable "hush" {
  default   = "5GiB"
  sensitive = true
}
variable "ugly" {
  default = "a\u001b[2J"
}
variable "long" {
  default = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
}
variable "quoted" {
  default = ">= 3, < 4"
}
variable "none" {
  type    = string
  default = null
}
env = {
  TOKEN        = var.token
  (var.quoted == "" ? "A" : "B") = "fixed"
}
filesystem {
  size = nonsensitive(var.hush)
}
network {
  egress "x" {
    domains = ["example.com"]
    ports   = [443]
    reason  = "${var.ugly}${var.long}${var.quoted}${var.none == null ? 1 : 2}"
  }
}
`
	dir := project(t, src)
	f, diags := load(t, dir, options())
	if diags.HasErrors() {
		t.Fatalf("unexpected:\n%s", lines(dir, diags))
	}
	for _, c := range []struct{ addr, item, want string }{
		{"process.environment", "env.TOKEN", "[var.token (default, blast.hcl:2)]"},
		{"process.environment", "env.B", "[var.quoted (default, blast.hcl:15)]"},
		{"filesystem.tree", "size", "[var.hush (sensitive, default, blast.hcl:5)]"},
		{"network.policy", "egress.x", `[var.ugly = "a\u001b[2J" (default, blast.hcl:9) var.long (default, blast.hcl:12) var.quoted = ">= 3, < 4" (default, blast.hcl:15) var.none = null (default, blast.hcl:19)]`},
	} {
		if got := madeOf(t, f, c.addr, c.item); got != c.want {
			t.Errorf("%s %s was made of %s, want %s", c.addr, c.item, got, c.want)
		}
	}
	for _, o := range f.Environments[0].Objects {
		if strings.Contains(fmt.Sprint(o.By), "hunter2") {
			t.Errorf("%s: %v", o.Addr, o.By)
		}
	}
}

// A map that isn't written out was made of all that it is made of, in each entry.
func TestMakersOfEntries(t *testing.T) {
	f := mustLoad(t, project(t, "variable \"a\" {\n  default = \"x\"\n}\nenv = merge({ A = var.a }, { B = \"y\" })\n"), options())
	for _, item := range []string{"env.A", "env.B"} {
		if got, want := madeOf(t, f, "process.environment", item), "[var.a (default, blast.hcl:2)]"; got != want {
			t.Errorf("%s was made of %s, want %s", item, got, want)
		}
	}
	f = mustLoad(t, project(t, "variable \"a\" {\n  default = \"x\"\n}\nenv = {\n  A = var.a\n  B = \"y\"\n}\n"), options())
	if got := madeOf(t, f, "process.environment", "env.B"); got != "[]" {
		t.Errorf("env.B was made of %s", got)
	}
}

func TestManyMakersAreCounted(t *testing.T) {
	var b strings.Builder
	b.WriteString("env = {\n  A = \"x")
	for i := range 30 {
		fmt.Fprintf(&b, "${var.v%02d}", i)
	}
	b.WriteString("\"\n}\n")
	for i := range 30 {
		fmt.Fprintf(&b, "variable \"v%02d\" {\n  default = 1\n}\n", i)
	}
	got := mustLoad(t, project(t, b.String()), options()).Environments[0].Objects
	for _, o := range got {
		if by, there := o.By["env.A"]; there && (len(by) != 13 || by[12].Name != "18 more variables") {
			t.Errorf("%d: %v", len(by), by)
		}
	}
}

// Where a value comes from explains, and changes nothing.
func TestMovedSourceIsNoChange(t *testing.T) {
	dir := project(t, memory)
	before := mustLoad(t, dir, options()).Environments[0].Objects
	opts := options()
	opts.Vars = []string{"memory=1GiB"}
	after := mustLoad(t, dir, opts).Environments[0].Objects
	if cmp.Equal(before, after) {
		t.Fatal("the source is not noted")
	}
	p := plan.Diff(after, before, before, nil)
	if !p.Empty() || p.Recorded {
		t.Errorf("a moved source is a change: %+v, recorded %v", p.Steps, p.Recorded)
	}
}

// Every kind notes it for the items that its plans are made of, with no code of its own.
func TestMakersOfEveryKind(t *testing.T) {
	const src = `variable "s" {
  default = "x"
}
variable "n" {
  default = 7
}
filesystem {
  max_file_size = "${var.n}MiB"
  workspace {
    read_only = [var.s]
  }
  mount "/models" {
    source = "models/${var.s == "x" ? "inner" : ""}"
  }
  tmpfs "/cache" {
    size = "${var.n}MiB"
  }
}
process {
  user = tostring(var.n)
}
python {
  index = ["https://${var.s}.example/simple"]
}
package "flask" {
  version = ">= ${var.n}"
}
resource {
  cpu {
    max = var.n
  }
  io {
    weight = var.n
  }
  rlimit "nofile" {
    soft = var.n
  }
}
network {
  default = var.s == "x" ? "deny" : "audit"
  egress "a" {
    cidrs = ["10.0.0.${var.n}"]
    ports = [var.n]
  }
  ingress "b" {
    port = 8000 + var.n
  }
  dns {
    servers = ["10.0.0.${var.n}"]
  }
}
secret "TOKEN" {
  from = "env:${upper(var.s)}"
}
check "works" {
  command = ["test", var.s]
}
`
	f, diags := load(t, project(t, src), options())
	if diags.HasErrors() {
		t.Fatalf("unexpected:\n%s", lines("", diags))
	}
	for addr, items := range map[string]map[string]string{
		"filesystem.tree":     {"max_file_size": "n", "workspace.read_only": "s", "mount./models": "s", "tmpfs./cache": "n"},
		"process.sandbox":     {"user": "n"},
		"packages.set":        {"python.index": "s", "package.flask": "n"},
		"resource.limits":     {"cpu.max": "n", "cpu.quota": "n", "io.weight": "n"},
		"resource.rlimits":    {"rlimit.nofile.soft": "n"},
		"network.policy":      {"default": "s", "egress.a": "n", "ingress.b": "n", "dns": "n"},
		"process.environment": {"secret.TOKEN": "s"},
		"check.works":         {"works.command": "s"},
	} {
		for item, name := range items {
			if got := madeOf(t, f, addr, item); !strings.HasPrefix(got, "[var."+name+" = ") {
				t.Errorf("%s %s was made of %s, want var.%s", addr, item, got, name)
			}
		}
	}
}
