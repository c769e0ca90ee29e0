package pep508

import "fmt"

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

// Place returns "requirements.txt:3".
func (p Problem) Place() string { return place(p.File, p.Number) }

// Error returns one line for those who show problems as errors.
func (p Problem) Error() string { return p.Place() + ": " + p.Summary + ": " + p.Detail }

func place(file string, number int) string {
	if number == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, number)
}
