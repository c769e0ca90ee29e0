package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type helpCmd struct {
	Topic []string `arg:"" optional:"" help:"A command, or exit-codes."`
}

// exits says what the numbers mean, in the order of the constants.
var exits = []struct{ code, means string }{
	{"0", "ok"},
	{"1", "error"},
	{"2", "changes (plan --detailed-exitcode)"},
	{"3", "not formatted (fmt --check)"},
	{"10", "apply failed and rolled back"},
	{"11", "rollback incomplete, the next command goes on with it"},
	{"20", "something was denied (run --fail-on denied)"},
	{"64", "usage"},
	{"75", "another command holds the lock"},
	{"77", "privilege missing"},
	{"78", "bad configuration"},
}

const exitsOfCommands = "run and shell exit as the command does; 125, 126 and 127 are Blast's own failure, not executable, not found; 128+n is signal n."

// exitsInShort is one paragraph, exitsInFull a table.
func exitsInShort() string {
	short := make([]string, 0, len(exits))
	for _, e := range exits {
		short = append(short, e.code+" "+e.means)
	}
	return "Exit codes: " + strings.Join(short, "; ") + ". " + exitsOfCommands
}

func exitsInFull() string {
	var b strings.Builder
	for _, e := range exits {
		fmt.Fprintf(&b, "%3s  %s\n", e.code, e.means)
	}
	return b.String() + "\n" + exitsOfCommands + "\n"
}

// Run shows what --help does after the topic's name.
func (cmd *helpCmd) Run(u *ui, k *kong.Kong) error {
	args := []string{"--help"}
	switch {
	case slices.Equal(cmd.Topic, []string{"exit-codes"}):
		return printAll(u.out, []byte(exitsInFull()))
	case len(cmd.Topic) > 0:
		args = append(slices.Clone(cmd.Topic), "--help")
	}
	if _, err := k.Parse(args); err != nil { // --help ends the program before that
		return u.misused("%s\nTopics are the commands that `blast --help` lists, and exit-codes.", misuse(err))
	}
	return nil
}
