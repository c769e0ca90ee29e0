package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A row is one case: what came of it, and the commands with what they said.
type row struct {
	title       string
	tofu, blast journal
}

// A journal notes what was done and what was seen.
type journal struct {
	seen  []string // sentences for the table
	steps []string // commands, comments and quoted output
}

func (j *journal) saw(format string, args ...any) {
	j.seen = append(j.seen, fmt.Sprintf(format, args...))
}

func (j *journal) note(format string, args ...any) {
	j.steps = append(j.steps, "# "+fmt.Sprintf(format, args...))
}

func (j *journal) did(command string) { j.steps = append(j.steps, "$ "+command) }

// heard quotes output, a line each.
func (j *journal) heard(lines ...string) {
	for _, l := range lines {
		if l != "" {
			j.steps = append(j.steps, l)
		}
	}
}

// report is the table, and below it the commands of each case.
func report(facts []string, rows []row) []byte {
	var b bytes.Buffer
	for _, f := range facts {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	b.WriteString("\n| case | OpenTofu | Blast |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.title, cell(r.tofu), cell(r.blast))
	}
	b.WriteString("\n## The commands\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "\n### %s\n\n```console\n%s\n```\n\n```console\n%s\n```\n", r.title, strings.Join(r.tofu.steps, "\n"), strings.Join(r.blast.steps, "\n"))
	}
	return b.Bytes()
}

func cell(j journal) string {
	return strings.ReplaceAll(strings.Join(j.seen, "<br>"), "|", `\|`)
}
