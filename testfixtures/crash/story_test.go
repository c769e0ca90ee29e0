package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A story is a command that is struck on its way from one state of the project to
// another.
type story struct {
	name   string
	first  []step // these are taken once, before everything
	before []step // these lead to the state before, from whatever the story leaves
	step          // the command that is struck, and the state that it leads to
	exit   int    // what it exits with if nothing strikes it
	again  int    // and in the state that it leads to
	counts bool   // there, it leads to one that is numbered otherwise
	same   bool   // it leads to the state before
	litter string // the part of a path below which a strike may leave what the next such command removes
	greet  string // what version of the package is there afterwards; nothing if the environment is not up
}

// A step is a command, and the blast.hcl that it finds; none is whichever is there.
type step struct {
	hcl  string
	args []string
}

// small has a bit of every kind, and one generation: the history is the same size in
// every state.
const small = `
blast {
  generations = 1
}
python {
  index = ["INDEX"]
}
package "greet" {
  version = "== 1.0"
}
network {
  egress "index" {
    cidrs  = ["127.0.0.1/32"]
    ports  = [PORT]
    during = ["apply"]
  }
}
filesystem {
  workspace {
    source = "."
  }
  track {
    level = "writes"
  }
}
resource {
  pids {
    max = 64
  }
}
`

// with is small with other words in the place of some.
func with(oldNew ...string) string { return strings.NewReplacer(oldNew...).Replace(small) }

// live differs from small in every kind, in what changes without a restart.
var live = with("max = 64", "max = 65", "== 1.0", "== 2.0",
	"network {\n", "network {\n  egress \"db\" {\n    cidrs = [\"192.0.2.0/24\"]\n    ports = [5432]\n  }\n",
	"source = \".\"", "source = \".\"\n    hide = [\"secrets\"]", "\"writes\"", "\"all\"") + "env = {\n  MODE = \"live\"\n}\n"

// kept is small with a history of n generations.
func kept(n int, oldNew ...string) string {
	return with(append(oldNew, "generations = 1", fmt.Sprint("generations = ", n))...)
}

// checked is small with one change, and a check of it.
func checked(command string) string {
	return with("max = 64", "max = 66") + fmt.Sprintf("check \"it\" {\n  command = [%q]\n}\n", command)
}

func applied(hcl string, flags ...string) step {
	return step{hcl, append([]string{"apply", "--auto-approve"}, flags...)}
}

func do(args ...string) step { return step{args: args} }

// generation stands for the one before the current one among the arguments.
const generation = "GENERATION"

var stories = []story{
	{name: "create", before: []step{do("destroy", "--auto-approve")}, step: applied(small), greet: "1.0"},
	{name: "update", before: []step{applied(small)}, step: applied(live), greet: "2.0"},
	{name: "replace", before: []step{applied(small)}, step: applied(small + "process {\n  user = \"1000\"\n}\n"), greet: "1.0"},
	{name: "destroy", before: []step{applied(small)}, step: do("destroy", "--auto-approve")},
	{name: "packages", before: []step{applied(small)}, step: applied(with("== 1.0", "== 2.0")), greet: "2.0"},
	{name: "rollback", before: []step{applied(kept(3)), applied(kept(3, "== 1.0", "== 2.0", "max = 64", "max = 65"))}, step: do("rollback", generation, "--auto-approve"), greet: "1.0"},
	{name: "retire", before: []step{applied(kept(2)), applied(kept(2, "== 1.0", "== 2.0"))}, step: applied(kept(2, "== 1.0", "== 3.0")), greet: "3.0"},
	{name: "check passes", before: []step{applied(small)}, step: applied(checked("true")), greet: "1.0"},
	{name: "check fails", before: []step{applied(small)}, step: applied(checked("false")), exit: exitRolledBack, again: exitRolledBack, same: true, greet: "1.0"},
	{name: "keep partial", before: []step{applied(small)}, step: applied(with("max = 64", "max = 67", "== 1.0", "== "+broken), "--keep-partial"), exit: exitError, again: exitRolledBack, greet: "1.0"},
	{name: "save", before: []step{applied(small), do("save", "it", "--replace"), do("snapshots", "rm", "it")}, step: do("save", "it", "--replace"), litter: "/.blast/snapshots.oci", greet: "1.0"},
	{name: "load", first: []step{applied(small), do("save", "other", "--replace")}, before: []step{do("destroy", "--auto-approve"), applied(live)}, step: do("load", "other", "--auto-approve"), counts: true, greet: "1.0"},
}

// ways are the tests that have a share in the stories. In the sample each story is played
// by one of them, and each of them plays some.
const (
	bySteps = iota
	byWrites
	byCalls
	byDisks
	ways
)

// share are the stories that a test plays.
func share(way int) []story {
	if every > 0 {
		return stories
	}
	var out []story
	for i := way; i < len(stories); i += ways {
		out = append(out, stories[i])
	}
	return out
}

// What blast exits with, see blast help exit-codes.
const (
	exitError      = 1
	exitRolledBack = 10
	exitIncomplete = 11
)

// sides are what is on the host before and after a story.
type sides struct{ old, fresh []string }

// both plays a story that nothing strikes, to know both sides. Where there is a history
// it plays it twice: that is longer the second time.
func (w *world) both(t *testing.T, s story) sides {
	t.Helper()
	w.take(t, s.first)
	b := w.play(t, s)
	if w.before > 0 {
		b = w.play(t, s)
	}
	if slices.Equal(b.old, b.fresh) != s.same {
		t.Fatalf("%s: both sides are the same: %t\n%s", s.name, !s.same, difference(b.fresh, b.old))
	}
	return b
}

func (w *world) play(t *testing.T, s story) (b sides) {
	t.Helper()
	w.begin(t, s)
	b.old = w.inventory(t)
	if out, code := w.do(t, s.step); code != s.exit {
		t.Fatalf("%s: exit %d, want %d\n%s", s.name, code, s.exit, out)
	}
	b.fresh = w.inventory(t)
	return b
}

// begin brings the project into the state before the story, with a daemon that lives.
func (w *world) begin(t *testing.T, s story) {
	t.Helper()
	w.crash = ""
	w.take(t, s.before)
	gens, err := w.env.History()
	if err != nil {
		t.Fatal(err)
	}
	if w.before = 0; len(gens) > 1 {
		w.before = gens[len(gens)-2].Serial
	}
}

// take carries out steps that must succeed.
func (w *world) take(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if out, code := w.do(t, s); code != 0 {
			t.Fatalf("blast %v: exit %d\n%s", s.args, code, out)
		}
	}
}

// do carries a step out.
func (w *world) do(t *testing.T, s step) (string, int) {
	t.Helper()
	return w.blast(t, w.ready(t, s)...)
}

// ready puts the blast.hcl of a step in place, and returns its command.
func (w *world) ready(t *testing.T, s step) []string {
	t.Helper()
	if s.hcl != "" {
		w.write(t, s.hcl)
	}
	args := slices.Clone(s.args)
	for i, a := range args {
		if a == generation {
			args[i] = fmt.Sprint(w.before)
		}
	}
	return args
}
