package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/bench/network/load"
	"blast.example/blast/runtime/network/traffic"
)

// loaded are the two ways of a sandbox to a server that are put under load.
func (w *world) loaded() []*path {
	address := w.from("load", load.TCP, at(far, load.PortRaw))
	address.name = "by address (cidrs)"
	name := w.from("load", load.TCP, at(load.Name, load.PortName))
	name.name = "by name (domains)"
	return []*path{address, name}
}

// from is a client in the sandbox of an environment.
func (w *world) from(env, proto string, to []string) *path {
	return &path{name: "to " + to[0], proto: proto, at: to, start: func(args ...string) *exec.Cmd {
		return w.command(append([]string{"-e", env, "run", "--", "/workspace/client", client}, args...)...)
	}}
}

// withDaemon does something to a blastd that has done nothing else, and looks that it
// is still the same afterwards.
func (w *world) withDaemon(do func(pid int) error) error {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := w.daemon(); err != nil {
			break
		}
	}
	down, err := w.up("load")
	defer down()
	if err != nil {
		return err
	}
	pid, err := w.daemon()
	if err != nil {
		return err
	}
	if err := do(pid); err != nil {
		return err
	}
	now, err := w.daemon()
	if err == nil && now != pid {
		err = fmt.Errorf("blastd ended: it was %d, and is %d", pid, now)
	}
	if b, _ := os.ReadFile("/run/blast/blastd.log"); len(b) > 0 {
		fmt.Printf("blastd's log: %s\n", b[max(0, len(b)-4000):])
	}
	return err
}

// counted is what the record of the environment says of a rule, and how many connections
// the limits of the environment refused.
func (w *world) counted(rule string) (s traffic.Sum, refused uint64, err error) {
	out, err := w.command("-e", "load", "connections", "--live", "--json").Output()
	if err != nil {
		return s, 0, fmt.Errorf("blast connections: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		var t traffic.Totals
		if err := json.Unmarshal([]byte(line), &t); err == nil && t.Type == traffic.TypeTotals {
			for _, l := range t.Limits {
				refused += l.Refused()
			}
			return t.Rules[rule], refused, nil
		}
	}
	return s, 0, errors.New("blast connections says no totals")
}

// ruleOf is what the record calls the rule of a way.
func ruleOf(p *path) string {
	if strings.Contains(p.name, "address") {
		return "egress.address"
	}
	return "egress.name"
}

// delays are how long commands took, in order.
type delays []time.Duration

func (d delays) String() string {
	if len(d) == 0 {
		return "-"
	}
	slices.Sort(d)
	return fmt.Sprintf("%s, at most %s", brief(d[len(d)/2]), brief(d[len(d)-1]))
}

// brief is a time in three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// asked are the commands that are timed.
var asked = [][]string{{"status"}, {"connections", "--live", "--json"}, {"plan"}}

// ask times each command once. One that fails is an error: the daemon has to answer.
func (w *world) ask(got map[string]delays) error {
	for _, words := range asked {
		d, err := w.blast(append([]string{"-e", "load"}, words...)...)
		if err != nil {
			return err
		}
		got[words[0]] = append(got[words[0]], d)
	}
	return nil
}

// while does something, and asks the daemon meanwhile.
func (w *world) while(do func() error) (map[string]delays, error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	got := map[string]delays{}
	for {
		if err := w.ask(got); err != nil {
			return got, errors.Join(err, <-done)
		}
		select {
		case err := <-done:
			return got, err
		case <-time.After(time.Second):
		}
	}
}

// A sheet has a row for each measure, and a column for each way.
type sheet struct {
	ways []string
	rows []string
	cell map[string][]string
}

func (s *sheet) put(row, value string) {
	if s.cell == nil {
		s.cell = map[string][]string{}
	}
	if s.cell[row] == nil {
		s.rows = append(s.rows, row)
	}
	s.cell[row] = append(s.cell[row], value)
}

func (s *sheet) answers(got map[string]delays) {
	for _, words := range asked {
		s.put("`blast "+words[0]+"` meanwhile, half of them", got[words[0]].String())
	}
}

func (s *sheet) print() {
	t := newTable(append([]string{""}, s.ways...)...)
	for _, r := range s.rows {
		t.add(append([]string{r}, s.cell[r]...)...)
	}
	t.print()
}

// failuresOf says what failed, and of what.
func failuresOf(r load.Result) string {
	if r.Failed == 0 {
		return "0"
	}
	var whys []string
	for why, n := range r.Whys {
		whys = append(whys, fmt.Sprintf("%d: %s", n, why))
	}
	slices.Sort(whys)
	return strconv.Itoa(r.Failed) + " (" + strings.Join(whys, "; ") + ")"
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
