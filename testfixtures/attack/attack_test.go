package attack

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"os/exec"

	"blast.example/blast/testfixtures/attack/probes"
)

// atOnce is how soon a refusal comes: sooner than a person would notice.
const atOnce = 2 * time.Second

// TestAttacks is the suite: the controls, the probes in two sandboxes, what exhausts the
// gate, and tunnels through a wildcard.
func TestAttacks(t *testing.T) {
	w := newWorld(t)
	w.probe()
	w.flood()
	w.tunnel()
}

// A trial is all probes in one place.
type trial struct {
	results map[string]probes.Result
	tokens  map[string]string // by name
	*evidence
}

func (tr trial) token(p probes.Probe) string { return tr.tokens[p.Name] }

// newToken is 20 letters and digits that are in no case but their own.
func newToken() string { return "tk" + strings.ToLower(rand.Text())[:18] }

// attempt runs the probes with a command that reads their names.
func (w *world) attempt(list []probes.Probe, cmd *exec.Cmd) trial {
	w.t.Helper()
	tr := trial{results: map[string]probes.Result{}, tokens: map[string]string{}}
	var in bytes.Buffer
	var tokens []string
	for _, p := range list {
		tr.tokens[p.Name] = newToken()
		tokens = append(tokens, tr.tokens[p.Name])
		fmt.Fprintln(&in, p.Name, tr.tokens[p.Name])
	}
	_, _, err := w.tap.Take()
	w.try(err)
	from := w.lab.Journal.Len()
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var r probes.Result
		w.try(json.Unmarshal(s.Bytes(), &r))
		tr.results[r.Name] = r
	}
	tr.evidence = w.gather(from, tokens)
	return tr
}

// probe tries all of them outside, where they must get through, and inside.
func (w *world) probe() {
	all := slices.DeleteFunc(probes.All(), func(p probes.Probe) bool { return !chosen(p.Name) })
	stop := w.neighbour()
	defer stop()
	control := func(list []probes.Probe) trial {
		return w.attempt(list, exec.Command(filepath.Join(w.bin, "attacker"), "batch", "outside")) //nolint:noctx // each has a deadline
	}
	outside := control(all)
	// A control that had no answer in time, as on a busy machine, is tried once more.
	var late []probes.Probe
	for _, p := range all {
		if why := outside.control(p); why != "" && !outside.results[p.Name].Absent {
			w.t.Logf("%s: its control failed outside, and is tried again: %s", p.Name, why)
			late = append(late, p)
		}
	}
	again := control(late)
	counts := map[string]*tally{}
	var working []probes.Probe
	for _, p := range all {
		c := counts[p.Category]
		if c == nil {
			c = &tally{}
			counts[p.Category] = c
		}
		why := outside.control(p)
		if slices.ContainsFunc(late, func(l probes.Probe) bool { return l.Name == p.Name }) {
			why = again.control(p)
		}
		switch {
		case outside.results[p.Name].Absent:
			w.t.Logf("%s: this kernel has nothing of the kind: %s", p.Name, outside.results[p.Name].Err)
			c.absent++
		case why != "":
			w.t.Errorf("%s: its control failed outside, so it proves nothing: %s", p.Name, why)
		default:
			c.probes++
			working = append(working, p)
		}
	}
	for _, env := range []string{"victim", "rooted"} {
		inside := w.attempt(working, w.command("-e", env, "run", "--", "/workspace/attacker", "batch", "inside"))
		for _, p := range working {
			w.judge(env, p, inside, counts[p.Category])
		}
		for _, packet := range inside.trespasses() {
			w.t.Errorf("%s: crossed: %s", env, packet)
		}
	}
	w.t.Log(table(counts))
	if len(working) < 120 && only == "" {
		w.t.Errorf("only %d probes work here", len(working))
	}
}

// control says why a probe that was tried outside doesn't show what it is for.
func (tr trial) control(p probes.Probe) string {
	r, ok := tr.results[p.Name]
	switch {
	case !ok:
		return "it said nothing"
	case !r.Through:
		return r.Err
	case p.Body && tr.tookFor(tr.token(p)) == "":
		return "no server took it for another host"
	case !p.Tokenless && !tr.seen[tr.token(p)]:
		return "the far end didn't see its token"
	}
	return ""
}

// judge compares what came of a probe inside with what must.
func (w *world) judge(env string, p probes.Probe, tr trial, c *tally) {
	r, ok := tr.results[p.Name]
	var broken []string
	seen := tr.seen[tr.token(p)]
	switch {
	case !ok:
		broken = append(broken, "it said nothing")
	case p.Known != "":
		if !r.Through || !seen {
			broken = append(broken, "what should get through didn't, so the far end may be blind: "+r.Err)
		}
	case p.Body:
		if line := tr.tookFor(tr.token(p)); line != "" {
			broken = append(broken, "a server took it for another host: "+line)
		}
	default:
		if r.Through {
			broken = append(broken, "it got through, by its own account")
		}
		if seen {
			broken = append(broken, "the far end saw its token")
		}
	}
	if r.Took > atOnce && p.Python == "" && !p.Slow && p.Known == "" {
		broken = append(broken, fmt.Sprintf("it was refused only after %v", r.Took))
	}
	if len(broken) > 0 {
		c.broken++
		w.t.Errorf("%s: %s (%s): %s", env, p.Name, p.What, strings.Join(broken, "; "))
		return
	}
	c.held++
	if testing.Verbose() {
		w.t.Logf("%s: %s: %s (%v)", env, p.Name, r.Err, r.Took.Round(time.Millisecond))
	}
}

// A tally is of one category.
type tally struct{ probes, held, broken, absent int }

func table(counts map[string]*tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-38s %7s %5s %7s %7s\n", "category", "probes", "held", "broken", "absent")
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
		fmt.Fprintf(&b, "%-38s %7d %5d %7d %7d\n", n, c.probes, c.held, c.broken, c.absent)
		sum.probes, sum.held, sum.broken, sum.absent = sum.probes+c.probes, sum.held+c.held, sum.broken+c.broken, sum.absent+c.absent
	}
	return b.String() + "(each is tried in two sandboxes: held and broken count both)"
}

// neighbour starts the well-behaved program, and returns what ends it.
func (w *world) neighbour() (stop func()) {
	w.t.Helper()
	n := w.startNeighbour()
	return n.stop
}
