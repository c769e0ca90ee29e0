package pep508

import (
	"fmt"
	"regexp"
)

// Line is a requirement and where it stands.
type Line struct {
	Requirement Requirement
	Text        string   // the requirement as written, without comment and options
	File        string   // as given to the reader: requirements.txt
	Number      int      // first line in File, from 1
	Constraint  bool     // limits a project's versions, but doesn't ask for it ("-c")
	Hashes      []string // "sha256:1234…"; any may match
}

// Place returns "requirements.txt:3".
func (l Line) Place() string { return place(l.File, l.Number) }

// Problem is something in a file that Blast can't follow. Summary is the same
// for the same kind of problem; Detail says what, why and how to mend it.
type Problem struct {
	File    string
	Number  int // line, from 1; 0 for the whole file
	Summary string
	Detail  string
}

// newProblem formats Detail, without the passwords of URLs in it.
func newProblem(file string, number int, summary, format string, args ...any) Problem {
	detail := credentials.ReplaceAllString(fmt.Sprintf(format, args...), "://…@")
	return Problem{File: file, Number: number, Summary: summary, Detail: detail}
}

var credentials = regexp.MustCompile(`://[^/\s@]*@`)

// Place returns "requirements.txt:3".
func (p Problem) Place() string { return place(p.File, p.Number) }

// String returns the problem on one line.
func (p Problem) String() string { return p.Place() + ": " + p.Summary + ": " + p.Detail }

// ProblemError is a Problem of a function that returns errors.
type ProblemError struct{ Problem }

// Error returns the problem on one line.
func (e ProblemError) Error() string { return e.String() }

func place(file string, number int) string {
	if number == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, number)
}
