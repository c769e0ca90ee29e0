package filesystem

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
)

// reading makes mounts of a decoded filesystem block.
type reading struct {
	*block.Values
	project string
	people  []string // folders of the person that hold keys
	always  []protection
	src     block.Origins
	diags   hcl.Diagnostics
	space   *block.Values // the workspace block
	root    string        // source of the workspace, "" if there is none
	bound   []Mount       // user's mounts, parents first
}

func newReading(s config.Scope, v *block.Values, diags hcl.Diagnostics) *reading {
	r := &reading{Values: v, project: s.Project, people: secretFolders(s.UID), always: defaults(s.Project), src: block.Origins{"": s.Origin()}, diags: diags}
	v.Sources(r.src, "")
	return r
}

func (r *reading) report(d *hcl.Diagnostic) { r.diags = append(r.diags, d) }

// temp is /tmp, unless a tmpfs block says how large it shall be.
func (r *reading) temp() Mount {
	m := Mount{Name: "tmp", Target: TempDir, Type: Tmpfs, Size: defaultTempSize, Exec: true}
	for _, v := range r.Blocks("tmpfs") {
		if n, ok := v.Int("size"); ok && v.Label == TempDir {
			v.Sources(r.src, "tmpfs."+TempDir)
			m.Name, m.Size, m.Exec = "tmpfs."+TempDir, n, r.exec(v)
			m.Inodes, _ = v.Int("inodes")
		}
	}
	return m
}

func (r *reading) workspace(v *block.Values) []Mount {
	r.space = v
	r.lists(v)
	v.Sources(r.src, "workspace")
	source := v.String("source", ".")
	abs, problem := r.source(source, v.At("source"))
	if problem == nil && !within(abs, r.project) {
		problem = block.Errorf(v.At("source"), "Workspace outside of the project", "source is %q, which leads to %s, and the workspace is the project or a folder of it. Write source = \".\", or use a mount for other folders.", source, abs)
	}
	if problem == nil && within(abs, path.Join(r.project, stateDir)) {
		problem = block.Errorf(v.At("source"), "Blast's own state", "source is %q, and %s holds what Blast knows about the sandbox. Choose another folder.", source, stateDir)
	}
	if problem != nil {
		r.report(problem)
		return nil
	}
	if d := r.linkedGit(abs, v.At("source")); d != nil {
		r.report(d)
		return nil
	}
	r.root = abs
	return []Mount{{Name: "workspace", Target: WorkspaceDir, Type: Bind, Source: abs, Access: v.String("access", "rw"), Exec: r.exec(v)}}
}

// mounts are the mount and tmpfs blocks, a parent before what lies below it.
func (r *reading) mounts() []Mount {
	var out []Mount
	first := map[string]*block.Values{}
	for _, v := range slices.Concat(r.Blocks("mount"), r.Blocks("tmpfs")) {
		target, problem := r.target(v)
		if problem == nil && first[target] != nil {
			problem = block.Duplicate(v.LabelRange, first[target].LabelRange, "A mount at "+target, "Only one thing can lie there: remove one, or choose another path.")
		}
		if problem != nil {
			r.report(problem)
			continue
		}
		first[target] = v
		v.Sources(r.src, v.Name+"."+target)
		if v.Name == "tmpfs" {
			if n, ok := v.Int("size"); ok && target != TempDir {
				inodes, _ := v.Int("inodes")
				out = append(out, Mount{Name: "tmpfs." + target, Target: target, Type: Tmpfs, Size: n, Inodes: inodes, Exec: r.exec(v)})
			}
			continue
		}
		if m, ok := r.bind(v, target); ok {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b Mount) int { return strings.Compare(a.Target+"/", b.Target+"/") })
	r.bound = out
	return out
}

func (r *reading) bind(v *block.Values, target string) (Mount, bool) {
	if !v.Has("source") {
		return Mount{}, false // reported
	}
	at := v.At("source")
	source, problem := r.source(v.String("source", ""), at)
	if problem == nil {
		problem = r.leaks(source, target, at)
	}
	if problem != nil {
		r.report(problem)
		return Mount{}, false
	}
	return Mount{Name: "mount." + target, Target: target, Type: Bind, Source: source, Access: v.String("access", "ro"), Exec: r.exec(v)}, true
}

// within reports whether p is dir or lies below it. Both are clean.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
