package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
)

// ui is how a verb talks to a person or a program: stdout is the answer, stderr
// the talk.
type ui struct {
	stdin, stdout, stderr *os.File
	out                   io.Writer // stdout, to whom a reader that went away is no error
	color                 bool      // on stderr and stdout, both being terminals
	ascii                 bool
	interactive           bool // questions can be asked
	progress              string

	streams []*view.Stream  // what --json and --json-into ask for
	talk    *view.Stream    // --progress json, on stderr
	closers []io.Closer     // of the streams
	github  bool            // a runner of GitHub's actions reads along
	where   view.Repository // where the project's files are seen

	talkOnInterrupt bool          // an interrupt takes something back
	stop            chan struct{} // closed by a second interrupt
}

func newUI(g Globals, stdin, stdout, stderr *os.File) *ui {
	tty := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	u := &ui{stdin: stdin, stdout: stdout, out: tolerant{stdout}, stderr: stderr, progress: g.Progress, stop: make(chan struct{})}
	u.interactive = tty(stdin) && tty(stderr)
	u.color = tty(stdout) && tty(stderr) && os.Getenv("NO_COLOR") == "" && !g.NoColor && os.Getenv("TERM") != "dumb"
	lang := os.Getenv("LC_ALL") + os.Getenv("LC_CTYPE") + os.Getenv("LANG")
	u.ascii = !strings.Contains(strings.ToLower(strings.ReplaceAll(lang, "-", "")), "utf8")
	if u.progress == "auto" {
		u.progress = "plain"
		if tty(stderr) {
			u.progress = "tty"
		}
	}
	if u.progress == "json" {
		u.talk = view.NewStream(stderr, release.Version)
	}
	u.github = os.Getenv("GITHUB_ACTIONS") == "true"
	return u
}

func (u *ui) style() view.Style { return view.Style{Color: u.color, ASCII: u.ascii} }

// say writes a line of talk. Much of it others chose, as a wheel does the names in
// it: nothing in it works on the terminal.
func (u *ui) say(format string, args ...any) {
	fmt.Fprintln(u.stderr, visible(fmt.Sprintf(format, args...)))
}

func visible(s string) string { return view.Visible(s) }

// cell is visible text that stays in its line, and in its column.
func cell(s string) string { return strings.NewReplacer("\n", "?", "\t", "?").Replace(visible(s)) }

// answer writes v as indented JSON to stdout.
func (u *ui) answer(v any) error {
	b, err := view.Encode(v, "  ")
	if err != nil {
		return err
	}
	return printAll(u.out, append(b, '\n'))
}

// mark is a sign for good, bad or undone, that a plain terminal can show.
func (u *ui) mark(unicode, ascii string) string {
	if u.ascii {
		return ascii
	}
	return unicode
}

// statusError ends the program with a code; its message, if any, was said.
type statusError struct{ code int }

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// configError is a set of diagnostics with the sources that they point into.
type configError struct {
	diags hcl.Diagnostics
	files map[string]*hcl.File
}

func (e *configError) Error() string { return e.diags.Error() }

// fail tells why a verb failed and returns the exit code for it.
func (u *ui) fail(err error) int {
	var (
		status statusError
		conf   *configError
		we     *wire.Error
	)
	switch {
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &conf):
		u.diagnostics(conf.files, conf.diags)
		if outside(conf.diags) {
			return exitError
		}
		return exitConfig
	case errors.As(err, &we):
		u.complain("%s", withAdvice(we))
		switch we.Code {
		case wire.CodeRolledBack:
			return exitRolledBack
		case wire.CodeIncomplete:
			u.say("The next blast command goes on with it.")
			return exitIncomplete
		case wire.CodeLocked:
			return exitLocked
		}
		return exitError
	case errors.Is(err, client.ErrPrivilege):
		u.complain("%v", err)
		return exitPrivilege
	case errors.Is(err, context.Canceled):
		u.complain("interrupted")
		return 130
	}
	u.complain("%v", err)
	return exitError
}

// withAdvice is an error with what to do about it.
func withAdvice(we *wire.Error) string {
	return strings.TrimSuffix(we.Message+"\n"+we.Advice, "\n")
}

// advise says what to do about an error, where the daemon knows it.
func (u *ui) advise(we *wire.Error) {
	if we.Advice != "" {
		u.say("%s", we.Advice)
	}
}

// outside reports whether it isn't the configuration that is wrong.
func outside(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if _, ok := d.Extra.(kinds.Outside); !ok && d.Severity == hcl.DiagError {
			return false
		}
	}
	return true
}

// diagnostics shows what is wrong with the configuration.
func (u *ui) diagnostics(files map[string]*hcl.File, diags hcl.Diagnostics) {
	if len(diags) == 0 {
		return
	}
	width := 78
	if w, _, err := term.GetSize(int(u.stderr.Fd())); err == nil && w > 40 {
		width = w
	}
	var b strings.Builder
	config.WriteDiagnostics(&b, files, diags, u.color, width)
	fmt.Fprint(u.stderr, view.Uncommand(b.String()))
	if u.github {
		u.annotate(diags)
	}
	for _, d := range diags {
		u.diagnose(diagnosticOf(d))
	}
}

// confirm asks for Terraform's "yes". Ctrl-C at the question is a no.
func (u *ui) confirm(ctx context.Context, question string) (bool, error) {
	if !u.interactive {
		return false, errors.New("can't ask for approval without a terminal: use --auto-approve, or save a plan with `blast plan --out FILE` (and --destroy) and apply that")
	}
	fmt.Fprintf(u.stderr, "\n%s\n  Only 'yes' will be accepted.\n\n  Enter a value: ", question)
	answer := make(chan string, 1)
	go func() { answer <- readLine(u.stdin) }() // a terminal can't be told to stop waiting
	select {
	case line := <-answer:
		return strings.TrimSpace(line) == "yes", nil
	case <-ctx.Done():
		u.say("")
		return false, ctx.Err()
	}
}

// readLine reads one line and not a byte more: what follows is not for us. What
// ends early is what was written until then.
func readLine(r io.Reader) string {
	var line []byte
	buf := make([]byte, 1)
	for len(line) < 1024 {
		n, err := r.Read(buf)
		if n == 0 || err != nil || buf[0] == '\n' {
			break
		}
		line = append(line, buf[0])
	}
	return string(line)
}
