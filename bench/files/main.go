// Command files measures what tracking of files costs: per file that is opened, written
// and created, and for work on large trees, with the levels none, writes and all in turn,
// and with strace(1) beside them where it is installed; or, with --overlay, what a workspace
// that is an overlay costs beside one that is a bind mount. It prints the time of each, and
// its ratio to none in the same round. Run it with `make bench-files`, as root. It is no
// test: nothing fails when it is slow.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const usage = "usage: files [--overlay] [ROUNDS]"

func main() {
	if len(os.Args) == 3 && os.Args[1] == workVerb {
		work(os.Args[2])
		return
	}
	rounds, args := 5, os.Args[1:]
	if len(args) > 0 && args[0] == "--overlay" {
		levels, args = []string{"none", "overlay"}, args[1:]
	}
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			fmt.Fprintln(os.Stderr, usage)
			os.Exit(64)
		}
		rounds = n
	}
	if err := run(rounds); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

// levels are how the sandbox is tracked; strace is none, and the work runs below strace, overlay
// is none over an overlay in which nothing was written yet.
var levels = []string{"none", "writes", "all", "strace"}

// A bench is a project with a sandbox.
type bench struct {
	dir, bin string
	strace   bool                                  // it is installed
	took     map[string]map[string][]time.Duration // by kind of work and level
}

func run(rounds int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "blast-files-")
	if err != nil {
		return err
	}
	_, err = exec.LookPath("strace")
	b := &bench{dir, filepath.Dir(self), err == nil, map[string]map[string][]time.Duration{}}
	defer func() {
		_ = b.blast("destroy", "--auto-approve")
		_ = os.RemoveAll(dir)
	}()
	if err := b.prepare(self); err != nil {
		return err
	}
	for round := range rounds {
		for i := range levels { // another one begins each round
			level := levels[(i+round)%len(levels)]
			if err := b.measure(level); err != nil {
				return fmt.Errorf("%s: %w", level, err)
			}
		}
	}
	b.print()
	return nil
}

// prepare makes the project: what works in it, and a repository of 5 000 files.
func (b *bench) prepare(self string) error {
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "work"), program, 0o755); err != nil { //nolint:gosec // the sandbox runs it
		return err
	}
	if err := grow(filepath.Join(b.dir, "tree")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "large"), make([]byte, largeSize), 0o644); err != nil { //nolint:gosec // the sandbox writes it
		return err
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "tree"}, {"-c", "user.name=b", "-c", "user.email=b@b.example", "commit", "-qm", "tree"}} {
		cmd := exec.Command("git", args...) //nolint:noctx // it is short
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w\n%s", args, err, out)
		}
	}
	return nil
}

func (b *bench) blast(args ...string) error {
	cmd := exec.Command(filepath.Join(b.bin, "blast"), append([]string{"-C", b.dir}, args...)...) //nolint:noctx,gosec // it is what is measured
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("blast %v: %w\n%s", args, err, out)
	}
	return nil
}

// measure does all work at one level.
func (b *bench) measure(level string) error {
	var words []string
	track, access := level, "rw"
	if level == "strace" {
		if !b.strace {
			return nil
		}
		track, words = "none", []string{"strace", "-f", "-qq", "-o", "/tmp/trace", "-e", "trace=%file"}
	}
	if level == "overlay" {
		track, access = "none", level
	}
	hcl := "resource {\n  cpu {\n    max = 2\n  }\n}\nfilesystem {\n  workspace {\n    access = \"" + access + "\"\n  }\n  track {\n    level = \"" + track + "\"\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(b.dir, "blast.hcl"), []byte(hcl), 0o600); err != nil {
		return err
	}
	if err := b.blast("apply", "--auto-approve"); err != nil {
		return err
	}
	for _, w := range works {
		args := append([]string{"-C", b.dir, "run", "--"}, append(slices.Clone(words), "/workspace/work", workVerb, w.name)...)
		out, err := exec.Command(filepath.Join(b.bin, "blast"), args...).CombinedOutput() //nolint:noctx,gosec // likewise
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", w.name, err, out)
		}
		took, err := time.ParseDuration(strings.TrimSpace(string(out)))
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if b.took[w.name] == nil {
			b.took[w.name] = map[string][]time.Duration{}
		}
		b.took[w.name][level] = append(b.took[w.name][level], took)
		if level == "overlay" {
			if err := b.blast("discard", "--auto-approve"); err != nil {
				return err
			}
		}
	}
	return nil
}

// print is a table: the median time of none, and the medians of the ratios to it.
func (b *bench) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "| work\t| "+strings.Join(levels, "\t| ")+"\t|")
	_, _ = fmt.Fprintln(w, "|---"+strings.Repeat("\t|---", len(levels))+"\t|")
	for _, k := range works {
		none := b.took[k.name]["none"]
		_, _ = fmt.Fprintf(w, "| %s\t| %v", k.says, (median(none) / time.Duration(k.n)).Round(10*time.Nanosecond))
		for _, level := range levels[1:] {
			var ratios []float64
			for i, d := range b.took[k.name][level] {
				ratios = append(ratios, float64(d)/float64(none[i]))
			}
			if len(ratios) == 0 {
				_, _ = fmt.Fprint(w, "\t| -")
				continue
			}
			slices.Sort(ratios)
			_, _ = fmt.Fprintf(w, "\t| %.2f (%.2f to %.2f)", median(ratios), ratios[0], ratios[len(ratios)-1])
		}
		_, _ = fmt.Fprintln(w, "\t|")
	}
	_ = w.Flush()
}

func median[T time.Duration | float64](all []T) T {
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}
