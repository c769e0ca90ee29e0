//go:build linux

package trial_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/resource/rlimit"
)

// A check runs as a command of blast run does, without input and terminal.
func TestRunsAsCommandsDo(t *testing.T) {
	w := newWorld(t)
	must(t, w.env.WriteNote(command.NoteName("resource"), command.Defaults{Rlimits: rlimit.Limits{"nofile": {Soft: 77, Hard: 88}}}))
	passed, err := w.gate(t.Context(), checks(map[string]string{
		"a-user":     `test "$(id -u):$(id -g)" = 65534:65534`,
		"b-caps":     `grep -q '^CapEff:.0000000000000000$' /proc/self/status`,
		"c-vars":     `test "$GREETING" = hello && test -n "$BLAST_CHECK"`,
		"d-dir":      `test "$PWD" = /tmp`,
		"e-limits":   `test "$(ulimit -Sn) $(ulimit -Hn)" = "77 88"`,
		"f-input":    `test -z "$(cat)"`,
		"g-terminal": `! test -t 0 && ! test -t 1 && ! test -t 2 && ! (: </dev/tty) 2>/dev/null`,
		"h-host":     `test "$(hostname)" = one`,
		"i-vars":     `test "$(env | cut -d= -f1 | sort | tr '\n' ' ')" = "BLAST_CHECK GREETING PATH PWD PYTHONPATH "`,
	}))
	if err != nil || len(passed) != 9 || !slices.IsSorted(passed) {
		t.Errorf("passed %q\n%v", passed, err)
	}
}

// Each way to fail is told, with the place and the command; all of them at once.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	one := func(name string, timeout time.Duration, words ...string) plan.Object {
		return obj(check.Addr(name), check.Check{Command: words, Timeout: timeout})
	}
	objs := []plan.Object{
		one("status", time.Minute, "sh", "-c", "echo out; echo err >&2; exit 3"),
		one("fine", time.Minute, "true"),
		one("signal", time.Minute, "sh", "-c", "kill -KILL $$"),
		one("absent", time.Minute, "no-such-program", "x"),
		one("plain", time.Minute, "/etc/passwd"),
		one("slow", 200*time.Millisecond, "sh", "-c", "echo begun; sleep 1003"),
		one("last", time.Minute, "true"),
	}
	begun := time.Now()
	passed, err := w.gate(t.Context(), objs)
	if err == nil || !slices.Equal(passed, []string{"check.fine", "check.last"}) {
		t.Fatalf("passed %q: %v", passed, err)
	}
	want := []string{
		`status: exit 3 after 0\.\ds   blast\.hcl:7`, `\$ sh -c 'echo out; echo err >&2; exit 3'`, `\| out`, `\| err`,
		`signal: killed by SIGKILL after 0\.\ds   blast\.hcl:7`, `\$ sh -c 'kill -KILL \$\$'`,
		`absent: exit 127: no-such-program: .*not found.*   blast\.hcl:7`, `\$ no-such-program x`,
		`plain: exit 126: /etc/passwd: permission denied   blast\.hcl:7`, `\$ /etc/passwd`,
		`slow: killed, as it took longer than 200ms   blast\.hcl:7`, `\$ sh -c 'echo begun; sleep 1003'`, `\| begun`,
	}
	if ok, _ := regexp.MatchString(`\A`+strings.Join(want, "\n")+`\z`, err.Error()); !ok {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if left := w.others(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestNothingToCheck(t *testing.T) {
	w := newWorld(t)
	if _, err := w.gate(t.Context(), nil); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(w.socket(t)))
	if _, err := w.gate(t.Context(), checks(map[string]string{"a": "true"})); err == nil {
		t.Error("passed without a sandbox")
	}
}

// What a check writes is read to the end, kept to a bound, and shown without what it
// would do to a terminal.
func TestOutput(t *testing.T) {
	w := newWorld(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := w.gate(t.Context(), checks(map[string]string{
		"flood": `head -c 200000000 /dev/zero | tr '\0' x; exit 1`,
		"lines": `seq 1 30; exit 1`,
		"paint": `printf 'plain\n\033[31mred\033[0m\033]0;title\007\nhalf \rover\r\nbidi \342\200\256 \377 \177\n\n\n'; exit 1`,
		"quiet": `exit 1`,
	}))
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("passed")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MiB for 200 MB of output", n>>20)
	}
	text := err.Error()
	for _, want := range []string{
		"| ...\n| " + strings.Repeat("x", 200) + "...\n",
		"| ...\n| 11\n", "| 30\n",
		"| plain\n| red?]0;title?\n| over\n| bidi ? ? ?\nquiet: exit 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.ContainsAny(text, "\x1b\r\x07\u202e") || strings.Contains(text, "| 10\n") {
		t.Errorf("it is shown as written: %q", text)
	}
}

// Ctrl-C ends the check that runs, and none is begun after it.
func TestCancel(t *testing.T) {
	for name, w := range map[string]*world{"new sandbox": freshWorld(t), "the one that runs": newWorld(t)} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for len(w.others(t)) < 2 && ctx.Err() == nil { // sh and sleep
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		begun := time.Now()
		passed, err := w.gate(ctx, checks(map[string]string{"a": "trap '' HUP TERM INT; sleep 1004 & sleep 1004", "b": "true"}))
		cancel()
		if !errors.Is(err, context.Canceled) || len(passed) > 0 || time.Since(begun) > 10*time.Second {
			t.Errorf("%s: %v, passed %q", name, err, passed)
		}
		if left := w.others(t); len(left) > 0 {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

// Secrets are variables of a check as of any command, and not in what is told of it.
func TestSecrets(t *testing.T) {
	const value = "correct horse\nbattery"
	w := freshWorld(t)
	with := variables
	with.Secrets = []secret.Reference{{Name: "TOKEN", From: "env:X"}, {Name: "GREETING", From: "env:Y"}}
	w.apply(t, []plan.Object{w.now[0], obj(process.EnvironmentAddr, with)})
	objs := checks(map[string]string{
		"a": `test "$GREETING" = "over vars" && test "$(printf %s "$TOKEN" | wc -c)" = 21`,
		"b": `env; echo "x${TOKEN}x"; printf "$TOKEN"; exit 1`,
		"c": `i=0; while [ $i -lt 5000 ]; do echo "$TOKEN"; i=$((i+1)); done; exit 1`,
	})
	ctx := kinds.WithSecrets(t.Context(), map[string]secret.Value{"TOKEN": secret.NewValue(value), "GREETING": secret.NewValue("over vars")})
	passed, err := w.gate(ctx, objs)
	if len(passed) != 1 || err == nil {
		t.Fatalf("passed %q: %v", passed, err)
	}
	for _, part := range []string{"correct", "horse", "battery", "over vars"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("%q is told:\n%v", part, err)
		}
	}
	for _, want := range []string{"| TOKEN=***\n", "| x***x\n", "| ***\n"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if _, err := w.gate(t.Context(), objs); err == nil || !strings.Contains(err.Error(), "secret TOKEN has no value") {
		t.Errorf("without values: %v", err)
	}
}
