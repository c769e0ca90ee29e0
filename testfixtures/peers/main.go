// Command peers plays what goes wrong in practice against Blast and against OpenTofu,
// on this machine, reads back from disk and kernel what came of it, and writes
// docs/COMPARISON.md. Run it with `make compare`, as root. It is no test: nothing
// fails when a peer does better.
//
// OpenTofu makes 100 things of its built-in resource, each with an effect that can be
// counted: a file, made by a provisioner that refuses to make it twice. Blast makes
// a sandbox with 100 packages from an index of the program's own. Both are struck
// when about half of that is done.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// items is how many things each makes.
const items = 100

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	inside := len(args) > 0 && args[0] == apart
	if inside {
		args = args[1:]
	}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	bin := flags.String("bin", "bin", "folder with blast, blast-cli, blastd, blast-init and tofu")
	doc := flags.String("write", "", "document whose part between the marks is replaced; default: print it")
	only := flags.String("only", "", "play only the cases whose title has this in it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes real sandboxes and mounts a small disk")
	}
	if !inside {
		return moveApart(args, out)
	}
	if err := settle(); err != nil {
		return err
	}
	dir, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	b, err := play(dir, *only)
	if err != nil {
		return err
	}
	if *doc == "" {
		_, err = out.Write(b)
		return err
	}
	return replacePart(*doc, b)
}

// play plays all cases, one after the other.
func play(bin, only string) ([]byte, error) {
	root, err := os.MkdirTemp("", "blast-peers-")
	if err != nil {
		return nil, err
	}
	rows, facts, err := playIn(root, bin, only)
	if err != nil {
		// What is up needs its folder to be destroyed.
		return nil, fmt.Errorf("%w (its folders: %s)", err, root)
	}
	project := regexp.MustCompile(regexp.QuoteMeta(root) + `/[0-9]+(/disk)?/project`)
	return project.ReplaceAll(report(facts, rows), []byte("/project")), os.RemoveAll(root)
}

func playIn(root, bin, only string) (rows []row, facts []string, err error) {
	l := &lab{bin: bin, root: root}
	if facts, err = l.versions(); err != nil {
		return nil, nil, err
	}
	for _, c := range slices.Concat(deaths, troubles, plans) {
		if !strings.Contains(c.title, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "-", c.title)
		r := row{title: c.title}
		if r.tofu, err = l.onTofu(c); err != nil {
			return nil, nil, fmt.Errorf("%s: tofu: %w", c.title, err)
		}
		if r.blast, err = l.onBlast(c); err != nil {
			return nil, nil, fmt.Errorf("%s: blast: %w", c.title, err)
		}
		rows = append(rows, r)
	}
	return rows, facts, nil
}

const (
	begin = "<!-- from here on: make compare -->\n"
	end   = "<!-- up to here -->\n"
)

// replacePart puts b between the marks of a document.
func replacePart(path string, b []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(old, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no part between %q and %q", path, begin, end)
	}
	return os.WriteFile(path, slices.Concat(head, []byte(begin), b, []byte(end), tail), 0o644)
}
