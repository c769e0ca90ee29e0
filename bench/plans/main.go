// Command plans measures what a plan without changes costs, by the number of items:
// egress rules and packages, in one environment or several. It prints CPU time of
// blast and of blastd, per plan and per item, and the peak memory of blast. Run it
// with `make bench-plans`. It is no test: nothing fails when it is slow.
package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"blast.example/blast/testfixtures/pypi"
)

// A shape is a project.
type shape struct{ environments, rules, packages int } // rules and packages of each environment

func (s shape) items() int { return s.environments * (s.rules + s.packages) }

var shapes = []shape{
	{1, 1, 0}, {1, 80, 20}, {1, 900, 100}, {2, 400, 100}, {10, 900, 100}, {1, 10_000, 0},
}

const rounds = 20

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plans:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "blast-plans-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	index, err := serve()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "environments\trules\tpackages\titems\tblast CPU\tblastd CPU\tµs/item\tpeak of blast\t")
	for i, s := range shapes {
		p := project{dir: filepath.Join(dir, strconv.Itoa(i)), bin: filepath.Dir(self), shape: s}
		if err := p.measure(w, index); err != nil {
			return fmt.Errorf("%+v: %w", s, err)
		}
	}
	return w.Flush()
}

// serve starts an index with as many projects as the largest shape asks for.
func serve() (*url.URL, error) {
	x := pypi.New()
	for i := range 100 {
		if err := x.Add(pypi.Wheel{Name: name(i), Version: "1.0", Files: map[string]string{name(i) + ".py": ""}}); err != nil {
			return nil, err
		}
	}
	s, err := pypi.Start("127.0.0.1:0", x)
	if err != nil {
		return nil, err
	}
	return url.Parse(s.URL)
}

func name(i int) string { return fmt.Sprintf("pkg%d", i) }

type project struct {
	dir, bin string
	shape
}

func (p project) measure(w *tabwriter.Writer, index *url.URL) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "blast.hcl"), []byte(p.config(index)), 0o644); err != nil {
		return err
	}
	for e := range p.environments {
		defer func() { _, _ = p.blast("destroy", "-e", env(e), "--auto-approve") }()
		if _, err := p.blast("apply", "-e", env(e), "--auto-approve"); err != nil {
			return err
		}
	}
	before, err := p.daemonCPU()
	if err != nil {
		return err
	}
	var cpu time.Duration
	peak := int64(0)
	for i := range rounds {
		use, err := p.blast("plan", "-e", env(i%p.environments), "--detailed-exitcode")
		if err != nil {
			return err
		}
		cpu += time.Duration(use.Utime.Nano() + use.Stime.Nano())
		peak = max(peak, use.Maxrss)
	}
	after, err := p.daemonCPU()
	if err != nil {
		return err
	}
	blast, daemon := cpu/rounds, (after-before)/rounds
	_, err = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.1f ms\t%.1f ms\t%.1f\t%.1f MiB\t\n", p.environments, p.rules, p.packages, p.items(),
		ms(blast), ms(daemon), float64((blast+daemon).Microseconds())/float64(p.items()), float64(peak)/1024)
	return err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func env(i int) string { return "e" + strconv.Itoa(i) }

func (p project) config(index *url.URL) string {
	var b strings.Builder
	for e := range p.environments {
		fmt.Fprintf(&b, "environment %q {\n  python {\n    index = [%q]\n    lock  = \"pylock.%s.toml\"\n  }\n", env(e), index, env(e))
		for i := range p.packages {
			fmt.Fprintf(&b, "  package %q {\n    version = \"== 1.0\"\n  }\n", name(i))
		}
		fmt.Fprintf(&b, "  network {\n    egress \"index\" {\n      cidrs  = [\"127.0.0.1/32\"]\n      ports  = [%s]\n      during = [\"apply\"]\n    }\n", index.Port())
		for i := range p.rules {
			fmt.Fprintf(&b, "    egress \"r%d\" {\n      domains = [\"h%d.example.com\"]\n      ports   = [443]\n    }\n", i, i)
		}
		b.WriteString("  }\n}\n")
	}
	return b.String()
}

// blast runs the command line itself, and returns what it used.
func (p project) blast(args ...string) (*syscall.Rusage, error) {
	cmd := exec.Command(filepath.Join(p.bin, "blast-cli"), args...) //nolint:noctx // a bench is ended by hand
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("blast %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, errors.New("no account of what a process used")
	}
	return use, nil
}

// daemonCPU is the time that blastd has used: fields 14 and 15 of proc_pid_stat(5).
func (p project) daemonCPU() (time.Duration, error) {
	pids, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, exe := range pids {
		if to, err := os.Readlink(exe); err != nil || to != filepath.Join(p.bin, "blastd") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "stat"))
		if err != nil {
			return 0, err
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		user, err1 := strconv.Atoi(f[11])
		system, err2 := strconv.Atoi(f[12])
		return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2) // USER_HZ is 100
	}
	return 0, errors.New("no blastd runs")
}
