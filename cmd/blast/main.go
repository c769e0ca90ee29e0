// Command blast plans, applies and runs sandboxed environments that a blast.hcl
// describes. Each verb has a file of its own here: flags, one call, print. What
// touches the kernel is done by blastd, which blast starts when it needs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the whole command line. Each verb's Run method is in its own file.
type cli struct {
	Globals

	Init        initCmd        `cmd:"" help:"Write a blast.hcl for the project in this folder."`
	Validate    validateCmd    `cmd:"" help:"Check blast.hcl; touches nothing."`
	Fmt         fmtCmd         `cmd:"" help:"Rewrite blast.hcl in the canonical format."`
	Plan        planCmd        `cmd:"" help:"Show what apply would change, and whether it widens or narrows access."`
	Apply       applyCmd       `cmd:"" help:"Make the sandbox what blast.hcl says, as one transaction."`
	Exec        runCmd         `cmd:"" name:"run" help:"Run a command in the sandbox."`
	Shell       shellCmd       `cmd:"" help:"Open a shell in the sandbox."`
	Allow       allowCmd       `cmd:"" help:"Add an egress rule to blast.hcl, as a refusal suggests it, and apply it."`
	Show        showCmd        `cmd:"" help:"Show the recorded state, or a saved plan."`
	Status      statusCmd      `cmd:"" help:"Show what the kernel says now, beside what was recorded."`
	Stats       statsCmd       `cmd:"" help:"Show what the environment takes of its limits: CPU, memory, processes, I/O, disk, and how often one was reached."`
	Connections connectionsCmd `cmd:"" help:"Show connections, questions to DNS and refusals: live and past, by whom and by which rule."`
	Files       filesCmd       `cmd:"" help:"Show which files were read, written, created, deleted, renamed and executed: live and past, and by whom."`

	Freeze freezeCmd `cmd:"" help:"Let all commands in the sandbox stand still."`
	Thaw   thawCmd   `cmd:"" help:"Let them go on, whoever stopped them."`
	Kill   killCmd   `cmd:"" help:"End all commands in the sandbox, which stays up."`

	Destroy  destroyCmd  `cmd:"" help:"Remove the sandbox and all that belongs to it."`
	History  historyCmd  `cmd:"" help:"List the generations that are kept."`
	Rollback rollbackCmd `cmd:"" help:"Go back to an earlier generation, as one transaction."`
	Diff     diffCmd     `cmd:"" help:"Show what commands have written over the project, or compare two generations."`
	Accept   acceptCmd   `cmd:"" help:"Make what commands have written over the project the project's own."`
	Discard  discardCmd  `cmd:"" help:"Drop what commands have written over the project."`
	Save     saveCmd     `cmd:"" help:"Make a snapshot: what is recorded, and the files that commands wrote outside of workspace and mounts."`
	Load     loadCmd     `cmd:"" help:"Go to a snapshot, as one transaction."`

	Snapshots snapshotsCmd `cmd:"" help:"List, compare, remove and export snapshots."`

	Lock     lockCmd     `cmd:"" help:"Choose the versions of packages, and write the lock file; changes nothing else."`
	Update   updateCmd   `cmd:"" help:"Take the newest of all packages, or of those that are named, and apply that."`
	Outdated outdatedCmd `cmd:"" help:"List packages of which there is a newer version."`
	Tree     treeCmd     `cmd:"" help:"Show which package needs which."`
	Why      whyCmd      `cmd:"" help:"Say why a package is there: the line that asks for it, and what needs it."`

	Cache   cacheCmd   `cmd:"" help:"Look at what is kept of packages, verify it, or remove it."`
	State   stateCmd   `cmd:"" help:"Look at what is recorded, or change it by hand."`
	Ps      psCmd      `cmd:"" name:"ps" help:"List environments: of this project, or with --all of every project on this machine."`
	Doctor  doctorCmd  `cmd:"" help:"Say what this machine can enforce."`
	Version versionCmd `cmd:"" help:"Print the version."`

	ForceUnlock forceUnlockCmd `cmd:"" help:"Free the lock of a dead command that another process has inherited."`

	Completion completionCmd `cmd:"" help:"Print a script that completes commands in a shell."`
	Help       helpCmd       `cmd:"" help:"Say what a command does, or what exit codes mean."`
}

// Globals are the flags of every verb.
type Globals struct {
	Chdir    string   `short:"C" placeholder:"DIR" help:"Work as if started in DIR."`
	Env      string   `short:"e" placeholder:"NAME" help:"Environment to act on; needed if blast.hcl has several."`
	Vars     []string `name:"var" sep:"none" placeholder:"NAME=VALUE" help:"Set a variable of blast.hcl."`
	VarFiles []string `name:"var-file" sep:"none" placeholder:"FILE" help:"Read variables from a file."`
	NoColor  bool     `help:"No colours, as with NO_COLOR."`
	Progress string   `enum:"auto,tty,plain,json,quiet" default:"auto" help:"How to tell about progress: auto, tty, plain, json, quiet."`
}

// Exit codes; see `blast help exit-codes`. 0, 1, 2 and 3 are Terraform's, 64
// and above those of sysexits.h.
const (
	exitOK         = 0
	exitError      = 1
	exitChanges    = 2
	exitUnformat   = 3
	exitRolledBack = 10
	exitIncomplete = 11
	exitDenied     = 20

	exitNotApproved = 21
	exitUsage       = 64
	exitLocked      = 75
	exitPrivilege   = 77
	exitConfig      = 78
)

func main() {
	collectLate()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the exit, so that deferred work is done.
func run(args []string, stdin, stdout, stderr *os.File) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("blast"), kong.Description("Terraform's plan and apply for sandboxes.\n\n"+exitsInShort()), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(func(code int) { panic(exitCode(code)) }))
	if err != nil {
		fmt.Fprintln(stderr, "blast:", err)
		return exitError
	}
	return parse(parser, &c, args, stdin, stdout, stderr)
}

// exitCode carries --help's wish to end out of the parser.
type exitCode int

func parse(parser *kong.Kong, c *cli, args []string, stdin, stdout, stderr *os.File) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exitCode)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(longFlags(args))
	if err == nil {
		err = noneEmpty(ctx.Path)
	}
	if err != nil {
		fmt.Fprintf(stderr, "blast: %s\n", visible(misuse(err)))
		fmt.Fprintln(stderr, "Try `blast --help`, or `blast VERB --help`.")
		return exitUsage
	}
	keepWriting()
	u := newUI(c.Globals, stdin, stdout, stderr)
	if c.Chdir != "" {
		if err := os.Chdir(c.Chdir); err != nil {
			return u.fail(err)
		}
	}
	sctx, stop := context.Background(), func() {}
	if verb, _, _ := strings.Cut(ctx.Command(), " "); verb != "run" && verb != "shell" { // a command gets its signals itself
		sctx, stop = interruptible(u)
	}
	defer stop()
	ctx.BindTo(sctx, (*context.Context)(nil))
	if err := ctx.Run(u, &c.Globals, parser); err != nil {
		return u.close(u.fail(err))
	}
	return u.close(exitOK)
}

// noneEmpty refuses flags whose value is empty, as --expect-digest "$DIGEST" is where
// nothing set DIGEST: what was to be looked at would be left out without a word.
func noneEmpty(path []*kong.Path) error {
	for _, p := range path {
		if f := p.Flag; f != nil && (f.Target.Kind() == reflect.String || f.Target.Kind() == reflect.Slice) && f.Target.Len() == 0 {
			return fmt.Errorf("--%s is given and empty: give it a value, or leave it out", f.Name)
		}
	}
	return nil
}

// misuse is the parser's error in a user's words: to it a verb is one more argument.
func misuse(err error) string {
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context.Command() == "" {
		return strings.Replace(err.Error(), "unexpected argument ", "unknown command ", 1)
	}
	return err.Error()
}

// interruptible returns a context that ends with the first Ctrl-C or SIGTERM. The second
// one stops blastd, too, in what it takes back, and then this process: the journal lets
// the next command finish.
func interruptible(u *ui) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if _, ok := <-ch; !ok {
			return
		}
		if u.talkOnInterrupt {
			u.say("blast: interrupted: taking back what was begun (again: stop now, and leave that to the next command)")
		}
		cancel(errInterrupted)
		if _, ok := <-ch; !ok {
			return
		}
		close(u.stop)
		select { // blastd answers when it has stopped; one that hangs is not waited for
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-time.After(stopTime):
		}
		os.Exit(128 + int(syscall.SIGINT))
	}()
	return ctx, func() { signal.Stop(ch); close(ch); cancel(nil) }
}

// stopTime is how long a second interrupt waits for blastd to stop.
const stopTime = 2 * time.Second

var errInterrupted = errors.New("interrupted")

// longFlags lets -out=p and -auto-approve mean --out=p and --auto-approve, as
// Terraform's users write them. What follows -- is the command's.
func longFlags(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		name, _, _ := strings.Cut(a, "=")
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && len(name) > 2 && isWord(name[1:]) {
			a = "-" + a
		}
		out = append(out, a)
	}
	return out
}

func isWord(s string) bool {
	for _, r := range s {
		if r != '-' && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

// printAll writes b to w and reports a closed pipe or full disk.
func printAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}
