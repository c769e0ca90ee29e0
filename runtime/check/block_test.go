package check

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

const two = `
check "imports" {
  command = ["python", "-c", "import app"]
  timeout = "1.5s"
}

check "a-2_B" {
  command = ["./smoke.sh"]
}
`

func TestChecks(t *testing.T) {
	objs := configtest.Objects(t, Words{}, two)
	if len(objs) != 2 || objs[0].Addr != "check.imports" || objs[1].Addr != "check.a-2_B" {
		t.Fatalf("the order of the file is the order of the checks: %+v", objs)
	}
	want := Check{Command: []string{"python", "-c", "import app"}, Timeout: 1500 * time.Millisecond}
	if d := cmp.Diff(want, configtest.Decode[Check](t, objs, "check.imports")); d != "" {
		t.Error(d)
	}
	if got := configtest.Decode[Check](t, objs, "check.a-2_B"); got.Timeout != 30*time.Second {
		t.Errorf("by default %v", got.Timeout)
	}
	for item, place := range map[string]string{"": "blast.hcl:2", "imports": "blast.hcl:2", "imports.command": "blast.hcl:3", "imports.timeout": "blast.hcl:4"} {
		if got := plan.PlaceOf(objs[0].Src, item); got != place {
			t.Errorf("%q is at %q, want %q", item, got, place)
		}
	}
	if objs := configtest.Objects(t, Words{}, ""); len(objs) != 0 {
		t.Errorf("nothing was written: %+v", objs)
	}
}

// Two environments may have checks of the same name.
func TestEachEnvironmentHasItsOwn(t *testing.T) {
	block := "  check \"a\" {\n    command = [\"true\"]\n  }\n"
	dir := configtest.Project(t, "environment \"one\" {\n"+block+"}\nenvironment \"two\" {\n"+block+"}\n")
	if _, diags := configtest.Load(t, dir, Words{}); diags.HasErrors() {
		t.Error(diags)
	}
	_, diags := configtest.Load(t, configtest.Project(t, "environment \"one\" {\n"+block+block+"}\n"), Words{})
	if len(diags) != 1 || diags[0].Summary != "Duplicate definition" || diags[0].Subject.Start.Line != 5 {
		t.Errorf("twice in one: %v", diags)
	}
}

// A label becomes the name of a file.
func TestLabels(t *testing.T) {
	for label, want := range map[string]bool{
		"a": true, "9": true, "Im_port-s": true, strings.Repeat("a", 63): true,
		"": false, strings.Repeat("a", 64): false, "-a": false, "_a": false, ".": false, "..": false, "a.b": false, "a/b": false, "../a": false, "ä": false, "a\n": false, "a b": false, "a\x00": false,
	} {
		if got, ok := Label(Addr(label)); ok != want || got != label {
			t.Errorf("%q: %q, %v", label, got, ok)
		}
	}
	if _, ok := Label("process.sandbox"); ok {
		t.Error("another kind's address has a label")
	}
}

func TestArgumentTheKernelRefuses(t *testing.T) {
	for n, fine := range map[int]bool{maxArgument - 1: true, maxArgument: false} {
		_, diags := configtest.Load(t, configtest.Project(t, "check \"a\" {\n  command = [\"echo\", \""+strings.Repeat("x", n)+"\"]\n}\n"), Words{})
		if diags.HasErrors() == fine || !fine && diags[0].Summary != "Argument too long" {
			t.Errorf("%d bytes: %v", n, diags)
		}
	}
}

func TestLine(t *testing.T) {
	for want, command := range map[string][]string{
		"python -c 'import app'":      {"python", "-c", "import app"},
		`sh -c "echo 'a'\n\x1b[2J"`:   {"sh", "-c", "echo 'a'\n\x1b[2J"},
		"./a.sh --x=1,2:3 '' '$HOME'": {"./a.sh", "--x=1,2:3", "", "$HOME"},
		"echo \"\\u202e\" \"\\xff\"":  {"echo", "\u202e", "\xff"},
		"echo 'ä'":                    {"echo", "ä"},
		"":                            nil,
	} {
		if got := (Check{Command: command}).Line(100); got != want {
			t.Errorf("%q: %s, want %s", command, got, want)
		}
	}
	if got := (Check{Command: []string{"echo", strings.Repeat("ä", 100)}}).Line(10); got != "echo 'ääää... (97 more characters)" {
		t.Error(got)
	}
}

func TestDescribe(t *testing.T) {
	a := Check{Command: []string{"python", "-c", "import app"}, Timeout: 10 * time.Second}
	longer, other := a, a
	longer.Timeout, other.Command = time.Minute, []string{"./smoke.sh"}
	tail := Check{Command: []string{"echo", strings.Repeat("x", 1000) + "1"}, Timeout: a.Timeout}
	tail2 := Check{Command: []string{"echo", strings.Repeat("x", 1000) + "2"}, Timeout: a.Timeout}
	long := Check{Command: []string{"echo", strings.Repeat("y", 800) + "evil"}, Timeout: a.Timeout}
	cut := "echo " + strings.Repeat("x", 995) + "... (6 more characters)"
	for name, c := range map[string]struct {
		from, to *Check
		want     string
	}{
		"long":           {nil, &long, "imports: echo " + long.Command[1] + ", within 10s|+ imports  echo " + long.Command[1] + ", within 10s"},
		"new":            {nil, &a, "imports: python -c 'import app', within 10s|+ imports  python -c 'import app', within 10s"},
		"gone":           {&a, nil, "imports: python -c 'import app', within 10s|- imports python -c 'import app', within 10s "},
		"slower":         {&a, &longer, "imports: python -c 'import app', within 1m|~ imports.timeout 10s 1m"},
		"another":        {&a, &other, "imports: ./smoke.sh, within 10s|~ imports.command python -c 'import app' ./smoke.sh"},
		"beyond the cut": {&tail, &tail2, "imports: " + cut + ", within 10s|~ imports.command  " + cut},
		"neither":        {nil, nil, "imports"},
	} {
		ch := plan.Change{Addr: "check.imports"}
		if c.from != nil {
			ch.From = plan.NewObject(ch.Addr, c.from, nil).Attrs
		}
		if c.to != nil {
			ch.To = plan.NewObject(ch.Addr, c.to, nil).Attrs
		}
		d := Words{}.Describe(ch)
		got := d.Summary
		for _, it := range d.Items {
			got += "|" + it.Action.Sign() + " " + it.Name + " " + it.Before + " " + it.After
			if it.Access != plan.Same || it.Restart {
				t.Errorf("%s: %+v", name, it)
			}
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// What no kind writes is shown as it stands, and never a panic.
func TestJunk(t *testing.T) {
	texts := []string{"", "null", "{}", "[]", `"x"`, "7", "{", `{"command":[null],"timeout":-1}`, `{"command":"x"}`, "\xff\xfe"}
	for _, from := range texts {
		for _, to := range texts {
			c := plan.Change{Addr: "check.a"}
			if from != "" {
				c.From = []byte(from)
			}
			if to != "" {
				c.To = []byte(to)
			}
			if d := (Words{}).Describe(c); (from == "{" || to == "{") && len(d.Items) == 0 {
				t.Errorf("%q to %q: nothing said about what can't be read", from, to)
			}
		}
	}
}
