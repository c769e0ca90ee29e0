package wheelhouse

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"blast.example/blast/testfixtures/pypi"
)

// project is one distribution inside of a package: its files and its .dist-info
// or .egg-info.
type project struct {
	deb   deb
	info  string // path in the tree, a folder or, for old egg-info, a file
	files tree   // without info
	meta  tree   // files of info, by their name in it
	*metadata
}

// repack writes a wheel for each project in the packages, and the manifest.
func repack(ctx context.Context, debs []deb, python, dir string) error {
	var projects []project
	named := map[string]string{} // package to project
	for _, d := range debs {
		t, err := d.tree(ctx)
		if err != nil {
			return err
		}
		ps, err := split(d, t, python)
		if err != nil {
			return fmt.Errorf("read %s: %w", d.stanza["Package"], err)
		}
		if len(ps) == 1 {
			named[d.stanza["Package"]] = ps[0].name
		}
		projects = append(projects, ps...)
	}
	m := Manifest{Python: python}
	for _, p := range projects {
		e, wheel, err := p.wheel(python, named)
		if err != nil {
			return fmt.Errorf("repack %s: %w", p.info, err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.File), wheel, 0o644); err != nil {
			return fmt.Errorf("write wheel: %w", err)
		}
		m.Wheels = append(m.Wheels, e)
	}
	slices.SortFunc(m.Wheels, func(a, b Entry) int { return strings.Compare(a.File, b.File) })
	return m.write(dir)
}

var (
	infoDir  = regexp.MustCompile(`^[^/]+\.(dist|egg)-info(/|$)`)
	compiled = regexp.MustCompile(`\.cpython-(3\d+)[a-z]*-`)
)

// split finds the projects in a package. Where there are several, each has the
// files that its top_level.txt names.
func split(d deb, t tree, python string) ([]project, error) {
	own := strings.ReplaceAll(python, ".", "")
	code, infos := tree{}, map[string]tree{}
	for name, data := range t {
		switch other := compiled.FindStringSubmatch(name); {
		case infoDir.MatchString(name):
			info, rest, _ := strings.Cut(name, "/")
			if infos[info] == nil {
				infos[info] = tree{}
			}
			infos[info][rest] = data
		case strings.Contains(name, "__pycache__/"), strings.HasSuffix(name, "nspkg.pth"):
		case other != nil && other[1] != own:
		default:
			code[name] = data
		}
	}
	var out []project
	for _, info := range slices.Sorted(maps.Keys(infos)) {
		p := project{deb: d, info: info, files: code, meta: infos[info]}
		if len(infos) > 1 {
			p.files = code.below(p.topLevel())
		}
		var err error
		if p.metadata, err = readMetadata(p.meta); err != nil {
			return nil, fmt.Errorf("%s: %w", info, err)
		}
		if len(p.files) > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// topLevel are the modules of a project.
func (p *project) topLevel() []string {
	if b, ok := p.meta["top_level.txt"]; ok {
		return strings.Fields(string(b))
	}
	name, _, _ := strings.Cut(p.info, "-")
	return []string{name}
}

// below returns the files of some modules.
func (t tree) below(modules []string) tree {
	out := tree{}
	for name, data := range t {
		first, _, _ := strings.Cut(name, "/")
		first, _, _ = strings.Cut(first, ".")
		if slices.Contains(modules, first) {
			out[name] = data
		}
	}
	return out
}

// remade are files of .dist-info that belong to an installation or are made anew.
var remade = []string{"RECORD", "WHEEL", "METADATA", "INSTALLER", "REQUESTED", "direct_url.json"}

// kept are the files of .egg-info that mean the same in .dist-info.
var kept = []string{"entry_points.txt", "top_level.txt"}

func (p *project) wheel(python string, named map[string]string) (Entry, []byte, error) {
	var plat platform
	var files []pypi.Packed
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if err := plat.add(name, p.files[name]); err != nil {
			return Entry{}, nil, err
		}
		files = append(files, pypi.Packed{Path: name, Data: p.files[name]})
	}
	if plat.compiled > 0 && plat.arch == "" {
		return Entry{}, nil, fmt.Errorf("compiled files are for an unknown machine")
	}
	if p.egg {
		p.restore(p.meta["requires.txt"], p.deb.dependencies(), named)
	}
	stem := strings.ReplaceAll(p.key(), "-", "_") + "-" + p.version
	info, tag := stem+".dist-info/", plat.tag(python)
	files = append(files, pypi.Packed{Path: info + "METADATA", Data: p.bytes()}, pypi.Packed{Path: info + "WHEEL", Data: pypi.WheelFile(tag)})
	for _, name := range slices.Sorted(maps.Keys(p.meta)) {
		if p.egg && slices.Contains(kept, name) || !p.egg && !slices.Contains(remade, path.Base(name)) {
			files = append(files, pypi.Packed{Path: info + name, Data: p.meta[name]})
		}
	}
	e := Entry{
		Name: p.key(), Version: p.version, File: stem + "-" + tag + ".whl",
		Deb: p.deb.stanza["Package"] + " " + p.deb.stanza["Version"], Requires: p.requires, From: p.from, Compiled: plat.compiled > 0, Needs: plat.needs,
	}
	return e, pypi.Pack(info, files), nil
}
