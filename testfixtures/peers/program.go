package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A program is run in a folder, and what it is told and says is noted.
type program struct {
	*journal
	path, dir string
	env       []string
}

// A result is how a run ended and all that it said.
type result struct {
	exit string // "exit 1", or the signal that ended it
	code int    // -1 after a signal
	out  string
}

// quote is the first line that has all of what is looked for; "" if there is none.
func (r result) quote(pattern string) string {
	re := regexp.MustCompile(pattern)
	for line := range strings.Lines(r.out) {
		if line = strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "│╷╵")); re.MatchString(line) {
			return line
		}
	}
	return ""
}

// quotes are the first lines that match, each once.
func (r result) quotes(pattern string) []string {
	var lines []string
	for rest := r; len(lines) < 3; {
		line := rest.quote(pattern)
		if line == "" {
			break
		}
		_, rest.out, _ = strings.Cut(rest.out, line)
		if line, _, _ = strings.Cut(line, "   Access: "); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// said is quotes for the table, cut where they get long.
func (r result) said(pattern string) string {
	lines := r.quotes(pattern)
	if len(lines) == 0 {
		return "nothing"
	}
	for i, l := range lines {
		if r := []rune(l); len(r) > 160 {
			l = string(r[:160]) + "…"
		}
		lines[i] = "“" + l + "”"
	}
	return strings.Join(lines, " ")
}

// count is how many lines match.
func (r result) count(pattern string) int {
	return len(regexp.MustCompile("(?m)"+pattern).FindAllString(r.out, -1))
}

func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (p *program) shown(args []string) string {
	words := []string{filepath.Base(p.path)}
	for _, a := range args {
		if strings.ContainsAny(a, " $&") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// must is for what only prepares a case.
func (p *program) must(args ...string) error {
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", p.shown(args), err, out)
	}
	return nil
}

// run runs to the end and notes the lines that match.
func (p *program) run(quoted string, args ...string) result {
	p.did(p.shown(args))
	out, err := p.command(args...).CombinedOutput()
	r := ended(err, string(out))
	p.heard(append(r.quotes(quoted), "("+r.exit+")")...)
	return r
}

func ended(err error, out string) result {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ws, ok := exit.Sys().(syscall.WaitStatus)
		if ok && ws.Signaled() {
			return result{"ended by " + signalName(ws.Signal()), -1, out}
		}
		return result{fmt.Sprintf("exit %d", exit.ExitCode()), exit.ExitCode(), out}
	}
	if err != nil {
		return result{err.Error(), -1, out}
	}
	return result{"exit 0", 0, out}
}

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGPIPE:
		return "SIGPIPE"
	case syscall.SIGINT:
		return "SIGINT"
	}
	return s.String()
}

// running is a program under way.
type running struct {
	p    *program
	cmd  *exec.Cmd
	pipe *os.File // what we read of it
	done chan struct{}
	err  error

	mu  sync.Mutex
	out bytes.Buffer
}

// start runs a program beside this one; both its outputs go to one pipe.
func (p *program) start(args ...string) (*running, error) {
	p.did(p.shown(args) + " &")
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	x := &running{p: p, cmd: p.command(args...), pipe: r, done: make(chan struct{})}
	x.cmd.Stdout, x.cmd.Stderr = w, w
	if err := x.cmd.Start(); err != nil {
		return nil, err
	}
	go x.listen()
	go func() { x.err = x.cmd.Wait(); close(x.done) }()
	return x, nil
}

func (x *running) listen() {
	buf := make([]byte, 64<<10)
	for {
		n, err := x.pipe.Read(buf)
		x.mu.Lock()
		x.out.Write(buf[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *running) said() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

func (x *running) kill(s syscall.Signal, name string) error {
	x.p.did("kill -" + name + " $!")
	return x.cmd.Process.Signal(s)
}

// over reports whether it ended.
func (x *running) over() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// end waits until it ended, and notes the lines that match.
func (x *running) end(quoted ...string) (result, error) {
	select {
	case <-x.done:
	case <-time.After(3 * time.Minute):
		_ = x.cmd.Process.Kill()
		return result{}, fmt.Errorf("%s doesn't end:\n%s", x.p.path, x.said())
	}
	_ = x.pipe.SetReadDeadline(time.Now().Add(time.Second)) // a child may hold the other end
	r := ended(x.err, x.said())
	for _, q := range quoted {
		x.p.heard(r.quotes(q)...)
	}
	x.p.heard("(" + r.exit + ")")
	return r, nil
}

// until waits for something to become true.
func until(what string, ok func() bool) error {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return fmt.Errorf("waited in vain: %s", what)
}

// still waits until a number has not changed for half a second.
func still(number func() int) {
	last, since := number(), time.Now()
	for time.Since(since) < 500*time.Millisecond {
		if n := number(); n != last {
			last, since = n, time.Now()
		}
		time.Sleep(10 * time.Millisecond)
	}
}
