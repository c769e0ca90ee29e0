package check

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is the check block, as a person writes it.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return Name }

// Bounds of a check's timeout. While checks run, nobody else can change the
// environment.
const (
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = time.Hour
	defaultTimeout = 30 * time.Second
)

// maxArgument is the most that execve(2) takes as one argument, in bytes, with the
// NUL at its end: MAX_ARG_STRLEN.
const maxArgument = 128 << 10

// Spec is the declaration of the check block.
var Spec = block.Block{
	Name: Name, Label: "name", Doc: "A command that decides whether an apply is kept. It runs in the sandbox after all changes are made, as `blast run` would run it but without input, in every apply that changes anything. If one fails, all is taken back, and its last output is shown. Until all have succeeded, commands go to the old sandbox. BLAST_CHECK is in its environment. What it starts ends with it; what it writes stays.",
	NotYet: []string{"for_each"},
	Attrs: []block.Attr{
		{Name: "command", Kind: block.Strings, Argv: true, Required: true, Example: `["python", "-c", "import app"]`, Source: "execve(2)", Doc: "The command with its arguments. It succeeds if it exits with 0. There is no shell: for one, write [\"sh\", \"-c\", \"...\"]."},
		{Name: "timeout", Kind: block.Duration, Example: `"10s"`, Default: `"` + block.FormatDuration(defaultTimeout) + `"`, Min: int64(minTimeout), Max: int64(maxTimeout), Doc: "How long it may take. Then it is killed, and has failed."},
	},
}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(nil, []block.Block{Spec}) }

// Decode implements config.Words.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(nil, []block.Block{Spec})
	r := &reading{diags: diags}
	var objs []plan.Object
	for _, v := range root.Blocks(Name) {
		addr := Addr(v.Label)
		if _, ok := Label(addr); !ok {
			r.report(block.Errorf(v.LabelRange, "Invalid name", "A check can't be called %q: a file on the host has its name. Use up to 63 letters, digits, - and _, and begin with a letter or digit.", v.Label))
			continue
		}
		src := block.Origins{"": {Place: block.Place(v.Range)}}
		v.Sources(src, v.Label)
		objs = append(objs, src.Object(addr, Check{Command: r.command(v), Timeout: r.timeout(v)}))
	}
	return objs, r.diags
}

// reading makes attributes of a decoded check block.
type reading struct{ diags hcl.Diagnostics }

func (r *reading) report(d *hcl.Diagnostic) { r.diags = append(r.diags, d) }

func (r *reading) command(v *block.Values) []string {
	words := v.Strings("command")
	if v.Has("command") && (len(words) == 0 || words[0].Text == "") {
		r.report(block.Errorf(v.At("command"), "Empty command", "check %q names no program, so there is nothing to run. Write for example command = [\"python\", \"-c\", \"import app\"].", v.Label))
	}
	out := make([]string, 0, len(words))
	for _, w := range words {
		if len(w.Text) >= maxArgument {
			r.report(block.Errorf(w.Range, "Argument too long", "An argument of check %q has %d bytes, and the kernel takes less than %d (execve(2)). Put it into a file of the project.", v.Label, len(w.Text), maxArgument))
		}
		out = append(out, w.Text)
	}
	return out
}

func (r *reading) timeout(v *block.Values) time.Duration {
	if d, ok := v.Duration("timeout"); ok {
		return d
	}
	return defaultTimeout
}
