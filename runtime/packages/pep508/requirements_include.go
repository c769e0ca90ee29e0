package pep508

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxIncludes bounds the files that one manifest may name.
const maxIncludes = 100

// ReadRequirements reads a requirements file of fsys and the files that it names
// by -r and -c. fsys is the project's folder: os.Root.FS lets no name or link
// lead out of it.
func ReadRequirements(fsys fs.FS, name string) ([]Line, []Problem) {
	in := &includes{fsys: fsys, opened: map[string]bool{}}
	f := &requirementsFile{name: name, include: in.follow}
	data, err := readBounded(fsys, name)
	if err != nil {
		f.problem(0, "File can't be read", "Reading %s: %v.", name, err)
		return nil, f.problems
	}
	in.open = []string{path.Clean(name)}
	f.parse(data)
	return f.lines, f.problems
}

// includes keeps what is being read, to find circles and to read each file once.
type includes struct {
	fsys   fs.FS
	open   []string // files being read, outermost first
	opened map[string]bool
}

// follow reads target, which stands on a line of f, into f.
func (in *includes) follow(f *requirementsFile, number int, target string, constraint bool) {
	name := path.Join(path.Dir(f.name), target)
	key := fmt.Sprint(name, constraint || f.constraint)
	switch {
	case urlScheme.MatchString(target):
		f.problem(number, "Other files are not read here", "%s is an address; only files of the project are read. Copy the file into the project.", target)
		return
	case strings.HasPrefix(target, "/") || !fs.ValidPath(name):
		f.problem(number, "File is outside of the project", "%s leads out of the project; only files of the project are read. Copy the file into the project.", target)
		return
	case slices.Contains(in.open, name):
		f.problem(number, "Files name each other in a circle", "%s. Remove one of the lines.", strings.Join(append(in.open, name), " names "))
		return
	case in.opened[key]:
		return
	case len(in.opened) >= maxIncludes:
		f.problem(number, "Too many files", "More than %d files name each other. Put the lines into fewer files.", maxIncludes)
		return
	}
	in.opened[key] = true
	data, err := readBounded(in.fsys, name)
	if err != nil {
		f.problem(number, "File can't be read", "Reading %s: %v.", name, err)
		return
	}
	in.open = append(in.open, name)
	inner := &requirementsFile{name: name, constraint: constraint || f.constraint, include: in.follow}
	inner.parse(data)
	in.open = in.open[:len(in.open)-1]
	f.lines = append(f.lines, inner.lines...)
	f.problems = append(f.problems, inner.problems...)
}

// readBounded reads at most one byte more than parse accepts.
func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
