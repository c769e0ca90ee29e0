//go:build linux

package breakout

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/testfixtures/breakout/probes"
)

// TestBreakout is the suite: the controls, the probes in two sandboxes, and bombs.
func TestBreakout(t *testing.T) {
	w := newWorld(t)
	w.probe()
	w.bombs()
}

var only = os.Getenv("BLAST_ATTACK_ONLY")

func chosen(name string) bool { return only == "" || regexp.MustCompile(only).MatchString(name) }

// A trial is probes in one place.
type trial struct {
	results map[string]probes.Result
	tokens  map[string]string // by name
}

// attempt runs the probes with a command that reads their names.
func (w *world) attempt(list []probes.Probe, target probes.Target, cmd *exec.Cmd) trial {
	w.t.Helper()
	tr := trial{results: map[string]probes.Result{}, tokens: map[string]string{}}
	var in, stderr bytes.Buffer
	w.try(json.NewEncoder(&in).Encode(target))
	for _, p := range list {
		tr.tokens[p.Name] = "tk" + strings.ToLower(rand.Text())[:18]
		fmt.Fprintln(&in, p.Name, tr.tokens[p.Name])
	}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var r probes.Result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			w.t.Fatalf("%v: %q", err, s.Text())
		}
		tr.results[r.Name] = r
	}
	return tr
}

// probe tries all of them outside, where they must reach their goals, and inside.
func (w *world) probe() {
	all := slices.DeleteFunc(probes.All(), func(p probes.Probe) bool { return !chosen(p.Name) })
	counts := map[string]*tally{}
	working := w.controls(all, counts)
	w.before = w.fingerprint()
	for _, env := range []string{"worker", "rooted"} {
		target := w.target
		target.Project, target.Init = "/workspace", 1
		inside := w.attempt(working, target, w.command("-e", env, "run", "--", "/workspace/breaker", "batch", "inside"))
		for _, p := range working {
			w.judge(env, p, inside, counts[p.Category])
		}
		w.unharmed(env)
	}
	w.t.Log(table(counts))
	if len(working) < 80 && only == "" {
		w.t.Errorf("only %d probes work here", len(working))
	}
}

// controls tries the probes outside, and returns those that show what they are for.
func (w *world) controls(all []probes.Probe, counts map[string]*tally) []probes.Probe {
	target := w.target
	target.Project, target.Init = filepath.Join(filepath.Dir(w.folder), "scratch"), target.Victim
	w.outline(target.Project)
	w.try(os.MkdirAll(filepath.Join(target.Project, ".blast/worker"), 0o755))
	outside := trial{results: map[string]probes.Result{}, tokens: map[string]string{}}
	believed := map[string]bool{}
	try := func(list []probes.Probe) {
		tr := w.attempt(list, target, exec.Command(filepath.Join(w.bin, "breaker"), "batch", "outside")) //nolint:noctx // each has a deadline
		maps.Copy(outside.results, tr.results)
		for name, token := range tr.tokens {
			believed[name] = w.believed(target.Project, token)
		}
	}
	writes := func(p probes.Probe) bool { return p.Writes }
	try(slices.DeleteFunc(slices.Clone(all), writes))
	for _, p := range all {
		if p.Writes { // one by one, as they write into the same files
			w.outline(target.Project)
			try([]probes.Probe{p})
		}
	}
	var working []probes.Probe
	for _, p := range all {
		c := counts[p.Category]
		if c == nil {
			c = &tally{}
			counts[p.Category] = c
		}
		r, ok := outside.results[p.Name]
		switch {
		case r.Absent:
			w.t.Logf("%s: absent here: %s", p.Name, r.Err)
			c.absent++
		case !ok:
			w.t.Errorf("%s: its control said nothing", p.Name)
		case p.Reads && !w.shows(r.Loot):
			w.t.Errorf("%s: its control brought no secret home, so it proves nothing: %s %q", p.Name, r.Err, r.Loot)
		case !p.Reads && !r.Through:
			w.t.Errorf("%s: its control failed outside, so it proves nothing: %s", p.Name, r.Err)
		case p.Writes && !believed[p.Name]:
			w.t.Errorf("%s: its control left nothing that is believed", p.Name)
		default:
			c.probes++
			working = append(working, p)
		}
	}
	return working
}

func (w *world) shows(loot []byte) bool { return bytes.Contains(loot, []byte(w.secret)) }

// believed reports whether there is a token in a file of the project that the host acts upon.
func (w *world) believed(project, token string) bool {
	for _, path := range []string{"blast.hcl", ".git/hooks/post-checkout", ".git/config", ".blast/worker/state.json"} {
		if b, err := os.ReadFile(filepath.Join(project, path)); err == nil && bytes.Contains(b, []byte(token)) {
			return true
		}
	}
	return false
}

// judge compares what came of a probe inside with what must.
func (w *world) judge(env string, p probes.Probe, tr trial, c *tally) {
	r, ok := tr.results[p.Name]
	var broken []string
	if !ok {
		broken = append(broken, "it said nothing")
	}
	if r.Through && !p.Reads && p.Known == "" {
		broken = append(broken, "it reached its goal, by its own account")
	}
	if w.shows(r.Loot) {
		broken = append(broken, "it brought the secret home")
	}
	if p.Writes && w.believed(w.project, tr.tokens[p.Name]) {
		broken = append(broken, "it left something that the host believes")
	}
	if len(broken) > 0 {
		c.broken++
		w.t.Errorf("%s: %s (%s): %s (%s %q)", env, p.Name, p.What, strings.Join(broken, "; "), r.Err, r.Loot)
		return
	}
	c.stopped++
	if testing.Verbose() {
		w.t.Logf("%s: %s: %s (%v)", env, p.Name, r.Err, r.Took.Round(time.Millisecond))
	}
}

// A tally is of one category.
type tally struct{ probes, stopped, broken, absent int }

func table(counts map[string]*tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-52s %7s %7s %7s %7s\n", "category", "probes", "stopped", "broken", "absent")
	var names []string
	var sum tally
	for n := range counts {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range append(names, "all") {
		c := counts[n]
		if c == nil {
			c = &sum
		}
		fmt.Fprintf(&b, "%-52s %7d %7d %7d %7d\n", n, c.probes, c.stopped, c.broken, c.absent)
		sum.probes, sum.stopped, sum.broken, sum.absent = sum.probes+c.probes, sum.stopped+c.stopped, sum.broken+c.broken, sum.absent+c.absent
	}
	return b.String() + "(each is tried in two sandboxes: stopped and broken count both)"
}
