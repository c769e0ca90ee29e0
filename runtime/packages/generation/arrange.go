//go:build linux

package generation

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/wheel"
)

// A part is a project on its way into a generation.
type part struct {
	name  string // for messages: "flask 3.1.2"
	tree  string // folder of the cache
	files []wheel.File
}

func newPart(e cache.Entry) part {
	return part{name: e.Name + " " + e.Version, tree: e.Tree, files: e.Files}
}

// A layout says which file of which project comes to which path.
type layout struct {
	site   string          // folder of modules
	parts  []part          // as they were given
	files  map[string]spot // by path
	folder map[string]int  // folders of the files: path → the project that first had it
	errs   []error
}

type spot struct {
	part int
	file wheel.File
}

// environment is who has the names that every generation has.
const environment = "the environment itself"

// maxClashes is how many clashes are told one by one.
const maxClashes = 5

// arrange puts projects over each other. Where several have the same file, with the
// same content, that is one file; of strays the first counts. Otherwise there is no right answer, whatever
// order they come in, and each such file is an error that names both.
func arrange(site string, own []string, parts []part) (*layout, error) {
	l := &layout{site: site, parts: append(parts[:len(parts):len(parts)], part{name: environment}), files: map[string]spot{}, folder: map[string]int{}}
	for _, p := range own {
		l.put(len(parts), wheel.File{Path: p})
	}
	for i, p := range parts {
		for _, f := range p.files {
			l.put(i, f)
		}
	}
	l.strangers()
	l.shadows()
	if more := len(l.errs) - maxClashes; more > 0 {
		l.errs = append(l.errs[:maxClashes], fmt.Errorf("and %d more files", more))
	}
	return l, errors.Join(l.errs...)
}

func (l *layout) put(i int, f wheel.File) {
	if j, taken := l.folder[f.Path]; taken {
		l.clash(j, i, f.Path, "one as a folder and one as a file")
		return
	}
	old, taken := l.files[f.Path]
	if taken && (old.file.SHA256 != f.SHA256 || f.SHA256 == "") && !l.sameModule(old, i, f) {
		if stray(l.site, f.Path) {
			return // the first one's
		}
		l.clash(old.part, i, f.Path, "with different content")
		return
	}
	if taken {
		if f.Executable && !old.file.Executable {
			l.files[f.Path] = spot{i, f}
		}
		return
	}
	for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
		if _, known := l.folder[dir]; known {
			break
		}
		if old, taken := l.files[dir]; taken {
			l.clash(old.part, i, dir, "one as a file and one as a folder")
			return
		}
		l.folder[dir] = i
	}
	l.files[f.Path] = spot{i, f}
}

// strays are names at the top of a wheel that many projects pack by mistake: their
// own tests, documentation and the like. Nobody imports them from there, and two
// projects that do it must not shut each other out.
var strays = []string{"tests", "test", "testing", "docs", "doc", "examples", "example", "benchmarks", "conftest", "setup", "LICENSE", "README", "CHANGELOG", "CHANGES", "NOTICE"}

// stray reports whether a file is part of one. Of several the first project's is
// there, in the order of names, so that it is the same on every machine.
func stray(site, name string) bool {
	rest, ok := strings.CutPrefix(name, site+"/")
	if !ok {
		return false
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(rest, "__pycache__/"), "/")
	top, _, _ = strings.Cut(top, ".")
	return slices.Contains(strays, top)
}

// sameModule reports whether two files are bytecode of modules with equal source.
// The compiler doesn't write the same bytes each time.
func (l *layout) sameModule(old spot, i int, f wheel.File) bool {
	source := wheel.Source(f.Path)
	if source == "" {
		return false
	}
	a, b := l.parts[old.part].hash(source), l.parts[i].hash(source)
	return a != "" && a == b
}

// strangers refuses bytecode for a module of another project: Python would run it in
// the place of what the module says.
func (l *layout) strangers() {
	var names []string
	for name, s := range l.files {
		source := wheel.Source(name)
		if module, there := l.files[source]; source != "" && there && module.part != s.part && l.parts[s.part].hash(source) == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		l.clash(l.files[wheel.Source(name)].part, l.files[name].part, name, "one as a module and one as bytecode of it")
	}
}

// shadows refuses files that are one module and come from several projects: Python takes
// a folder before an extension, that before a source, and says nothing of the others.
func (l *layout) shadows() {
	files := map[string][]string{} // by module
	for name := range l.files {
		if m := module(l.site, name); m != "" && !stray(l.site, name) {
			files[m] = append(files[m], name)
		}
	}
	maps.DeleteFunc(files, func(_ string, names []string) bool { return len(names) < 2 })
	for _, m := range slices.Sorted(maps.Keys(files)) {
		l.shadow(files[m])
	}
}

// shadow looks for a project that has some of the files of a module, but not all.
func (l *layout) shadow(names []string) {
	slices.Sort(names)
	for i, p := range l.parts {
		has := func(name string) bool { return p.hash(name) != "" }
		missing := slices.IndexFunc(names, func(n string) bool { return !has(n) })
		own := slices.IndexFunc(names, has)
		if missing >= 0 && own >= 0 {
			l.clash(i, l.files[names[missing]].part, names[missing], "the one as "+clip(strings.TrimPrefix(names[own], l.site+"/")))
			return
		}
	}
}

// module is what a file is imported as, with slashes; "" if it isn't.
func module(site, name string) string {
	rest, ok := strings.CutPrefix(name, site+"/")
	dir, base := path.Split(rest)
	stem, ending, dotted := strings.Cut(base, ".")
	if !ok || !dotted || path.Base(dir) == "__pycache__" || ending != "py" && ending != "pyc" && ending != "so" && !strings.HasSuffix(ending, ".so") {
		return ""
	}
	if stem == "__init__" && dir != "" {
		return path.Clean(dir)
	}
	return path.Join(dir, stem)
}

func (p part) hash(name string) string {
	n, ok := slices.BinarySearchFunc(p.files, name, func(f wheel.File, name string) int { return strings.Compare(f.Path, name) })
	if !ok {
		return ""
	}
	return p.files[n].SHA256
}

func (l *layout) clash(a, b int, name, how string) {
	if l.parts[a].name == environment {
		a, b = b, a
	}
	l.errs = append(l.errs, fmt.Errorf("%s and %s both have %s, %s; remove one of the two, or pin a version that doesn't have it",
		l.parts[a].name, l.parts[b].name, clip(strings.TrimPrefix(name, l.site+"/")), how))
}

// has reports whether a project brings a file or folder.
func (l *layout) has(name string) bool {
	_, file := l.files[name]
	_, folder := l.folder[name]
	return file || folder
}
