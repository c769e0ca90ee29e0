package packages

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/config/nearest"
	"blast.example/blast/runtime/packages/login"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/process/secret"
)

// reading makes wishes of decoded blocks.
type reading struct {
	project string
	src     block.Origins
	diags   hcl.Diagnostics
}

func (r *reading) errorf(at hcl.Range, summary, format string, args ...any) {
	r.diags = append(r.diags, block.Errorf(at, summary, format, args...))
}

// version takes "3.11", the beginning of a version, or specifiers.
func (r *reading) version(v *block.Values) string {
	text := strings.TrimSpace(v.String("version", ""))
	if text == "" {
		return ""
	}
	_, notVersion := pep440.Parse(text)
	if _, err := pep440.ParseSpecifiers(text); err != nil && notVersion != nil {
		r.errorf(v.At("version"), "Invalid Python version", "version is %q: %v. Write the beginning of a version such as \"3.11\", or a range such as \">= 3.11\".", text, err)
	}
	return text
}

// indexes checks that each index is a web address that may be written down.
func (r *reading) indexes(v *block.Values) []string {
	if !v.Wrote("index") {
		return []string{defaultIndex}
	}
	if v.Has("index") && len(v.Strings("index")) == 0 {
		r.errorf(v.At("index"), "Empty list", "index is empty, and packages have to come from somewhere. Remove it for %q.", defaultIndex)
	}
	var out []string
	for _, t := range v.Strings("index") {
		if root := r.root(t.Text, t.Range); root != "" && !slices.Contains(out, root) {
			out = append(out, root)
		}
	}
	return out
}

// root checks the address of an index; "" was reported.
func (r *reading) root(text string, at hcl.Range) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		r.errorf(at, "Invalid index", "%q is not the address of a package index. Write for example %q.", text, defaultIndex)
	case u.User != nil:
		r.errorf(at, "Credentials in an address", "The index has a user or password in it, and plans, state and lock would hold it. Write the address without: %q; and in the python block a login %q with password = \"env:NAME\".", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		r.errorf(at, "Invalid index", "%q has a query or fragment, and an index is the root below which projects lie (PEP 503). Write it without.", text)
	default:
		return strings.TrimRight(text, "/")
	}
	return ""
}

func (r *reading) registries(v *block.Values) []Registry {
	var out []Registry
	for _, b := range v.Blocks("registry") {
		b.Sources(r.src, "python.registry."+b.Label)
		reg := Registry{Name: b.Label, URL: r.root(b.String("url", ""), b.At("url"))}
		for _, t := range b.Strings("packages") {
			bare := strings.ReplaceAll(t.Text, "*", "")
			if bare == "" || !pep508.ValidName(strings.ReplaceAll(t.Text, "*", "x")) {
				r.errorf(t.Range, "Invalid package name", "packages of registry %q has %q, and takes names and patterns such as \"corp-*\". To ask an index for all projects, write it in index of the python block.", b.Label, t.Text)
				continue
			}
			reg.Packages = append(reg.Packages, pattern(t.Text))
		}
		if b.Has("packages") && len(b.Strings("packages")) == 0 {
			r.errorf(b.At("packages"), "Empty list", "packages of registry %q is empty, so it would be asked for nothing. Name projects, or remove the block.", b.Label)
		}
		out = append(out, reg)
	}
	return out
}

func (r *reading) logins(v *block.Values) []login.Place {
	var out []login.Place
	for _, b := range v.Blocks("login") {
		b.Sources(r.src, "python.login."+b.Label)
		l := login.Place{Host: strings.ToLower(b.Label), User: b.String("user", ""), Password: b.String("password", "")}
		if u, err := url.Parse("https://" + b.Label); err != nil || u.Host != b.Label || u.Hostname() == "" || strings.HasSuffix(b.Label, ":") {
			r.errorf(b.LabelRange, "Invalid host", "login %q is for no host. Write the index's host, and its port if that is not 443: \"pypi.example.com\".", b.Label)
		}
		if strings.ContainsFunc(l.User, unicode.IsControl) || strings.Contains(l.User, ":") {
			r.errorf(b.At("user"), "Invalid user", "A user of Basic authentication has no colon and no control character (RFC 7617). Write it without.")
		}
		if err := secret.CheckSource(l.Password); err != nil && b.Has("password") && l.Password != login.FromNetrc {
			r.errorf(b.At("password"), "Unknown source of a password", "%s. Or write \"netrc\" for the file $NETRC or .netrc in your home.", strings.Replace(err.Error(), "from", "password", 1))
		}
		out = append(out, l)
	}
	return out
}

// pattern is a name with "*" in it as PEP 503 normalises names: "Corp_*" is "corp-*".
func pattern(s string) string {
	parts := strings.Split(s, "*")
	for i, p := range parts {
		parts[i] = pep508.NormalizeName(p)
	}
	return strings.Join(parts, "*")
}

func (r *reading) lock(v *block.Values) string {
	text := v.String("lock", defaultLock)
	if !r.local(v, "lock", text) {
		return defaultLock
	}
	if base := path.Base(text); base == "blast.hcl" || !strings.HasSuffix(base, ".toml") {
		r.errorf(v.At("lock"), "Invalid lock file", "lock is %q, and a lock file is TOML (PEP 751). Write for example %q.", text, defaultLock)
	}
	return path.Clean(text)
}

// local reports whether a path stays in the project.
func (r *reading) local(v *block.Values, name, text string) bool {
	if filepath.IsLocal(text) && path.Clean(text) != "." && !strings.ContainsFunc(text, unicode.IsControl) {
		return true
	}
	r.errorf(v.At(name), "Path outside of the project", "%s is %q, and has to be a file of the project. Write a path without a leading / and without \"..\".", name, text)
	return false
}

// manifest reads what requirements.txt asks for, with the files that it names, or
// pyproject.toml. It returns its name.
func (r *reading) manifest(v *block.Values, w *Wishes) string {
	name := v.String("manifest", "")
	if !r.local(v, "manifest", name) {
		return ""
	}
	name = path.Clean(name)
	root, err := os.OpenRoot(r.project)
	if err != nil {
		r.errorf(v.At("manifest"), "File can't be read", "%v.", err)
		return name
	}
	defer func() { _ = root.Close() }()
	fi, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.errorf(v.At("manifest"), "File can't be read", "manifest is %q, and the project has no such file. Make it, or remove the line.", name)
		return name
	case err != nil || !fi.Mode().IsRegular():
		r.errorf(v.At("manifest"), "File can't be read", "manifest is %q, which is no file of the project that can be read. Links that lead out of the project are not followed.", name)
		return name
	}
	if strings.HasSuffix(name, ".toml") {
		r.pyproject(plain{root}, v, w, name)
		return name
	}
	lines, problems := pep508.ReadRequirements(plain{root}, name)
	for _, p := range problems {
		r.problem(p, name)
	}
	w.Requirements = r.lines(lines, name)
	return name
}

// plain are the regular files of a folder. What else lies there is not opened as
// if it were one: a pipe would wait for somebody to write.
type plain struct{ *os.Root }

// Open implements fs.FS.
func (p plain) Open(name string) (fs.File, error) {
	f, err := p.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}, err, f.Close())
	}
	return f, nil
}

func (r *reading) pyproject(fsys fs.FS, v *block.Values, w *Wishes, name string) {
	data, err := readBounded(fsys, name)
	if err != nil {
		r.errorf(v.At("manifest"), "File can't be read", "%v.", err)
		return
	}
	p, err := pep508.ParsePyproject(data)
	for _, e := range each(err) {
		var problem pep508.ProblemError
		if errors.As(e, &problem) {
			r.problem(problem.Problem, name)
		} else {
			r.errorf(v.At("manifest"), "File can't be read", "%s: %v.", name, e)
		}
	}
	w.Requirements, w.RequiresPython = r.lines(p.Dependencies, name), p.RequiresPython.String()
	for _, part := range []struct {
		attr, table string
		lines       map[string][]pep508.Line
	}{{"extras", "project.optional-dependencies", p.Optional}, {"groups", "dependency-groups", p.Groups}} {
		for _, t := range v.Strings(part.attr) {
			lines, there := part.lines[pep508.NormalizeName(t.Text)]
			if !there && err == nil {
				r.errorf(t.Range, "Unknown name", "%s has %q, and [%s] of %s hasn't.%s", part.attr, t.Text, part.table, name, nearest.Hint(t.Text, slices.Sorted(maps.Keys(part.lines))))
			}
			w.Requirements = append(w.Requirements, r.lines(lines, name)...)
		}
	}
}

// onlyPyproject refuses to look for groups and extras where there can be none.
func (r *reading) onlyPyproject(v *block.Values, manifest string) {
	for _, attr := range []string{"groups", "extras"} {
		if len(v.Strings(attr)) > 0 && !strings.HasSuffix(manifest, ".toml") {
			r.errorf(v.At(attr), "No pyproject.toml", "%s are of a pyproject.toml, and the manifest is none. Write manifest = \"pyproject.toml\", or remove %s.", attr, attr)
		}
	}
}

// limits are constraints and overrides: they say which versions, and ask for nothing.
func (r *reading) limits(v *block.Values) []Requirement {
	var out []Requirement
	for _, attr := range []string{"constraints", "overrides"} {
		for _, t := range v.Strings(attr) {
			q, err := pep508.Parse(t.Text)
			switch {
			case err != nil:
				r.errorf(t.Range, "Invalid requirement", "%s has %q: %v. Write for example \"urllib3 < 2\".", attr, t.Text, err)
			case q.URL != "" || len(q.Extras) > 0:
				r.errorf(t.Range, "Invalid requirement", "%s has %q, and only says which versions of a project are taken. Write %s and a version.", attr, t.Text, q.Name)
			default:
				out = append(out, Requirement{Text: q.String(), Place: block.Place(t.Range), Constraint: attr == "constraints", Override: attr == "overrides"})
			}
		}
	}
	return out
}

// maxManifest bounds a manifest, in bytes.
const maxManifest = 4 << 20

// readBounded reads one byte more than a manifest may have, for its reader to
// refuse.
func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxManifest+1))
}

// each takes joined errors apart.
func each(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { // errors.Join's own type, as ParsePyproject returns it
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// problem points into the manifest. The reader of pyproject.toml calls it by its
// own name, wherever in the project it lies.
func (r *reading) problem(p pep508.Problem, manifest string) {
	pos := hcl.Pos{Line: max(p.Number, 1), Column: 1}
	r.errorf(hcl.Range{Filename: r.file(p.File, manifest), Start: pos, End: pos}, p.Summary, "%s", p.Detail)
}

func (r *reading) file(name, manifest string) string {
	if name == pep508.PyprojectName {
		return manifest
	}
	return name
}

func (r *reading) lines(lines []pep508.Line, manifest string) []Requirement {
	var out []Requirement
	for _, l := range lines {
		place := fmt.Sprintf("%s:%d", r.file(l.File, manifest), max(l.Number, 1))
		out = append(out, Requirement{Text: l.Requirement.String(), Place: place, Constraint: l.Constraint, Hashes: l.Hashes})
		if key := "package." + l.Requirement.Key(); r.src[key].Place == "" {
			r.src[key] = block.Origin{Place: place}
		}
	}
	return out
}

// packages turns package blocks into requirements. One that the manifest has, too,
// is asked for twice: both have to be met.
func (r *reading) packages(vs []*block.Values) []Requirement {
	var out []Requirement
	first := map[string]*block.Values{}
	for _, v := range vs {
		if !pep508.ValidName(v.Label) {
			r.errorf(v.LabelRange, "Invalid package name", "%q can't name a package: names hold letters, digits, \"-\", \"_\" and \".\". A version has an argument of its own: version = \"~= 1.0\".", v.Label)
			continue
		}
		key := pep508.NormalizeName(v.Label)
		if was := first[key]; was != nil {
			r.diags = append(r.diags, block.Duplicate(v.LabelRange, was.LabelRange, fmt.Sprintf("package %q", key), "Names that differ in case, \"-\", \"_\" and \".\" are the same. Merge the two."))
			continue
		}
		first[key] = v
		v.Sources(r.src, "package."+key)
		if q, ok := r.requirement(v); ok {
			out = append(out, Requirement{Text: q.String(), Place: block.Place(v.Range)})
		}
	}
	return out
}

func (r *reading) requirement(v *block.Values) (pep508.Requirement, bool) {
	before := len(r.diags)
	q := pep508.Requirement{Name: v.Label}
	r.specifiers(v, &q)
	for _, t := range v.Strings("extras") {
		if !pep508.ValidName(t.Text) {
			r.errorf(t.Range, "Invalid extra", "%q can't name an extra: names hold letters, digits, \"-\", \"_\" and \".\".", t.Text)
			continue
		}
		q.Extras = append(q.Extras, t.Text)
	}
	slices.Sort(q.Extras)
	q.Extras = slices.Compact(q.Extras)
	if text := v.String("marker", ""); text != "" {
		m, err := pep508.ParseMarker(text)
		if err != nil {
			r.errorf(v.At("marker"), "Invalid marker", "marker is %q: %v. Write for example \"python_version >= '3.11'\".", text, err)
		}
		q.Marker = m
	}
	return q, len(r.diags) == before
}

func (r *reading) specifiers(v *block.Values, q *pep508.Requirement) {
	text := strings.TrimSpace(v.String("version", ""))
	if text == "" || text == "*" {
		return
	}
	ss, err := pep440.ParseSpecifiers(text)
	if err == nil {
		q.Specifiers = ss
		return
	}
	if _, notVersion := pep440.Parse(text); notVersion == nil {
		r.errorf(v.At("version"), "Version without an operator", "version is %q, and may mean this version or those like it. Write \"== %s\" or \"~= %s\".", text, text, text)
		return
	}
	r.errorf(v.At("version"), "Invalid version specifier", "version is %q: %v. Write for example \">= 3, < 4\".", text, err)
}
