package config

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/block"
	"blast.example/blast/config/functions"
	"blast.example/blast/config/source"
	"blast.example/blast/config/variable"
	"blast.example/blast/plan"
)

// Options say with what a file is loaded.
type Options struct {
	Vars     []string // NAME=VALUE, as of --var
	VarFiles []string // as of --var-file
	Environ  []string // as of os.Environ; BLAST_VAR_NAME sets a variable
	Words    []Words  // what may stand in an environment
	Version  string   // of this program, for required_version
	Text     []byte   // what blast.hcl holds, if it isn't what the file does; nil: the file
	UID      int      // the person on whose behalf Blast acts
	GID      int
}

// File is a loaded blast.hcl.
type File struct {
	Path         string // of blast.hcl
	Project      string // its folder, absolute and free of symbolic links
	Environments []Environment
	Outputs      []Output
	Read         []string   // other files by which it was decided what the objects are: whoever can write them decides
	Generations  int        // how many are kept; 0 is the usual number
	Basis        plan.Basis // of everything that the objects were made from
	Sources      map[string]*hcl.File
}

// Environment is what one environment shall be.
type Environment struct {
	Name    string
	Range   hcl.Range // where it begins
	Objects []plan.Object
}

// Load reads the blast.hcl at path. It returns all that is wrong with it, sorted
// by place; unless there are errors, the file is whole. With errors the file is
// there to show them in, as far as it could be read.
func Load(path string, opts Options) (*File, hcl.Diagnostics) {
	l := &loader{opts: opts, file: &File{Path: path, Sources: map[string]*hcl.File{}}}
	l.load()
	l.showSources()
	for name, f := range l.file.Sources { // of syntax trees, larger by far, nobody has any use
		l.file.Sources[name] = &hcl.File{Bytes: f.Bytes}
	}
	return l.file, tidy(l.diags)
}

// LoadText reads a blast.hcl that lies in no file, for a project. Name stands for it
// in places. No variable has a value but the default, and nothing but the text says what
// it means.
func LoadText(project, name string, text []byte, opts Options) (*File, hcl.Diagnostics) {
	opts.Vars, opts.VarFiles, opts.Environ = nil, nil, nil
	l := &loader{opts: opts, file: &File{Path: name, Project: project, Sources: map[string]*hcl.File{}}, text: text}
	l.load()
	return l.file, tidy(l.diags)
}

// loader is one run of Load.
type loader struct {
	text  []byte // of a file that is none; nil is of one
	opts  Options
	file  *File
	diags hcl.Diagnostics
	eval  *hcl.EvalContext
	vars  variable.Values
	made  makers

	declared map[string]bool // variables; true is sensitive
	hidden   []string        // files that give values to those: their lines are not shown
}

func (l *loader) report(diags ...*hcl.Diagnostic) { l.diags = append(l.diags, diags...) }

func (l *loader) load() {
	body := l.read()
	if body == nil {
		return
	}
	parts := l.sort(body)
	l.scope(parts)
	envs := l.environments(parts)
	for _, e := range envs {
		l.environment(e)
	}
	l.outputs(parts.blocks["output"], envs)
	l.file.Basis = l.basis()
}

// read parses blast.hcl; nil says that nothing of it can be trusted.
func (l *loader) read() *hclsyntax.Body {
	if l.text != nil {
		f, body, diags := source.Text(l.file.Path, l.text)
		l.file.Sources[l.file.Path] = f
		l.report(diags...)
		return body
	}
	dir, err := filepath.Abs(filepath.Dir(l.file.Path))
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		at := hcl.Range{Filename: FileName, Start: hcl.InitialPos, End: hcl.InitialPos}
		l.report(block.Errorf(at, "File can't be read", "%v.", err))
		return nil
	}
	l.file.Project = dir
	if l.opts.Text != nil {
		return l.kept(source.Text(FileName, l.opts.Text))
	}
	return l.kept(source.File(FileName, filepath.Join(dir, filepath.Base(l.file.Path))))
}

// kept is the body of blast.hcl, whose source is kept for showing what is wrong with it.
func (l *loader) kept(f *hcl.File, body *hclsyntax.Body, diags hcl.Diagnostics) *hclsyntax.Body {
	if f != nil {
		l.file.Sources[FileName] = f
	}
	l.report(diags...)
	return body
}

// scope evaluates what expressions can refer to: variables, then locals.
func (l *loader) scope(p parts) {
	l.eval = &hcl.EvalContext{
		Functions: functions.Table(l.file.Project, l.opts.Environ, l.note),
		Variables: map[string]cty.Value{"path": cty.ObjectVal(map[string]cty.Value{
			"module": cty.StringVal(l.file.Project), "root": cty.StringVal(l.file.Project),
		})},
	}
	l.settings(p.blocks["blast"])
	decls, diags := variable.Declared(p.blocks["variable"], l.eval)
	l.report(diags...)
	l.declared = map[string]bool{}
	for _, d := range decls {
		l.declared[d.Name] = d.Sensitive
	}
	l.vars, diags = variable.Assign(decls, l.given())
	l.report(diags...)
	l.eval.Variables["var"] = l.vars.Object()
	l.report(variable.Validate(decls, l.vars, l.eval)...)
	l.made = makers{vars: l.vars, eval: l.eval, locals: map[string]hcl.Expression{}, known: map[string]plan.Makers{}}
	l.eval.Variables["local"] = l.locals(p.blocks["locals"])
}

// given is where values of variables come from.
func (l *loader) given() variable.Sources {
	if l.text != nil {
		return variable.Sources{}
	}
	return variable.Sources{
		Project: l.file.Project, Vars: l.opts.Vars, Files: l.opts.VarFiles, Environ: l.opts.Environ,
		Parse: l.values,
	}
}

// values reads a file of values. One that has sensitive ones, or may have, is not
// among the sources: those are shown, and a digest of them gets into plans, by which
// what is short could be guessed.
func (l *loader) values(name, path string) *hclsyntax.Body {
	l.note(path)
	f, body, diags := source.File(name, path)
	switch {
	case f == nil:
	case !l.secretive(body):
		l.file.Sources[name] = f
	default:
		l.hidden = append(l.hidden, name)
		for _, d := range diags {
			d.Detail = "The file may give values to sensitive variables, so what is wrong with it isn't shown. It holds NAME = VALUE, and texts in quotes."
		}
	}
	l.report(diags...)
	return body
}

// secretive reports whether a file of values has a sensitive one, or may have: by a
// name that is misspelled, or as it can't be read.
func (l *loader) secretive(body *hclsyntax.Body) bool {
	if !slices.Contains(slices.Collect(maps.Values(l.declared)), true) {
		return false
	}
	if body == nil {
		return true
	}
	for name := range body.Attributes {
		if sensitive, known := l.declared[name]; sensitive || !known {
			return true
		}
	}
	return false
}

// note keeps which other files say what blast.hcl means, where they are and where links
// lead to.
func (l *loader) note(path string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return
	}
	paths := []string{abs}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		paths[0] = filepath.Join(dir, filepath.Base(abs))
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		paths = append(paths, real)
	}
	for _, p := range paths {
		if !slices.Contains(l.file.Read, p) {
			l.file.Read = append(l.file.Read, p)
		}
	}
}

// showSources reads other files of the project that diagnostics point into,
// such as a manifest, so that their lines can be shown.
func (l *loader) showSources() {
	for _, d := range l.diags {
		if d.Subject == nil || l.file.Project == "" || !filepath.IsLocal(d.Subject.Filename) {
			continue
		}
		if _, known := l.file.Sources[d.Subject.Filename]; known || slices.Contains(l.hidden, d.Subject.Filename) {
			continue
		}
		if src, err := source.Read(filepath.Join(l.file.Project, d.Subject.Filename)); err == nil {
			l.file.Sources[d.Subject.Filename] = &hcl.File{Bytes: src}
		}
	}
}

// basis covers the sources, the values of variables that aren't sensitive, and the
// objects made of them: by the last also all files and environment variables that were
// read.
func (l *loader) basis() plan.Basis {
	b := plan.Basis{Files: map[string]string{}, Variables: l.vars.Digests()}
	for name, f := range l.file.Sources {
		b.Files[name] = plan.DigestOf(f.Bytes)
	}
	var parts [][]byte
	for _, e := range l.file.Environments {
		parts = append(parts, []byte(e.Name))
		for _, o := range e.Objects {
			parts = append(parts, []byte(o.Addr), o.Attrs)
		}
	}
	b.Objects = plan.DigestOf(parts...)
	return b
}
