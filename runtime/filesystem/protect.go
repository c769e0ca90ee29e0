package filesystem

import (
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
)

const stateDir = ".blast"

// defaultLock is the lock file's name where the python block names no other.
const defaultLock = "pylock.blast.toml"

// lockMount names the protection of the lock file, whose path Link learns.
const lockMount = "workspace.lock"

// protection is a path of the project that is always hidden or read-only, also
// while it is absent: what protects only files that exist protects nothing from
// whoever can make them.
type protection struct {
	path string
	kind string // Hide or ReadOnly
	dir  bool
	// content is what an absent file is made with: see Mount.
	content string
	never   string // why it can't be opened; "" if it can
	reason  string
}

// mount is the protection as a mount, without a place.
func (p protection) mount() Mount {
	return Mount{Name: listOf(p.kind), Type: p.kind, Dir: p.dir, Content: p.content}
}

var always = []protection{
	{path: ".env", kind: Hide, reason: "secrets"},
	{path: stateDir, kind: Hide, dir: true, never: "it is what Blast knows about the sandbox"},
	{path: "blast.hcl", kind: ReadOnly, never: "a sandbox must not change its own rules"},
	{path: defaultLock, kind: ReadOnly, never: "it says what is installed; blast changes it"},
	{path: ".git/hooks", kind: ReadOnly, dir: true, reason: "git runs them on the host"},
	{path: ".git/config", kind: ReadOnly, reason: "it names programs that git runs on the host"},
	{path: ".git/config.worktree", kind: ReadOnly, reason: "git reads it as .git/config, in repositories that say so, such as sparse ones"},
	{path: ".git/commondir", kind: ReadOnly, content: noCommonDir, never: "it names the folder that git takes hooks and settings from"},
}

// noCommonDir says in .git/commondir what its absence says: the folder is this
// one (gitrepository-layout(5)). Git refuses an empty file, and libgit2 1.5 the
// shorter ".".
const noCommonDir = "./\n"

// opened reports whether a line opens a path that is protected by default.
func (r *reading) opened(p string) bool {
	return slices.ContainsFunc(slices.Concat(r.space.Strings("show"), r.space.Strings("writable")), func(t block.Text) bool { return path.Clean(t.Text) == p })
}

// protections are the mounts that hide, and keep from being written, what lies
// in the workspace and the mounts.
func (r *reading) protections() []Mount {
	var out []Mount
	if r.root != "" {
		out = r.inWorkspace()
	}
	for _, m := range append([]Mount{{Target: WorkspaceDir, Source: r.root, Type: Bind}}, r.bound...) {
		if m.Target != WorkspaceDir {
			out = append(out, r.inMount(m)...)
		}
		for _, secret := range r.people {
			if m.Type == Bind && m.Source != "" && secret != m.Source && within(secret, m.Source) {
				rel := strings.TrimPrefix(secret, m.Source)
				out = append(out, Mount{Name: "workspace.hide", Target: path.Join(m.Target, rel), Type: Hide, Dir: true})
			}
		}
	}
	return tidy(out)
}

// tidy sorts protections, a parent before what lies below it, and drops those
// that lie in one that says as much.
func tidy(ms []Mount) []Mount {
	slices.SortStableFunc(ms, func(a, b Mount) int { return strings.Compare(a.Target+"/", b.Target+"/") })
	var out []Mount
	for _, m := range ms {
		if !slices.ContainsFunc(out, func(o Mount) bool { return within(m.Target, o.Target) && (o.Type == Hide || o.Type == m.Type) }) {
			out = append(out, m)
		}
	}
	return out
}

// inMount are the protections of the project that hold in a mount, too: a mount
// of a part of it shows the same files at another place.
func (r *reading) inMount(m Mount) []Mount {
	var out []Mount
	for _, p := range r.inProject() {
		if m.Type == Bind && p.Source != m.Source && within(p.Source, m.Source) {
			p.Target, p.Source = path.Join(m.Target, strings.TrimPrefix(p.Source, m.Source)), ""
			out = append(out, p)
		}
	}
	return out
}

// inProject are the protections of the project, with their paths on the host as
// Source.
func (r *reading) inProject() []Mount {
	var out []Mount
	if r.root != "" {
		for _, m := range r.inWorkspace() {
			m.Source = path.Join(r.root, strings.TrimPrefix(m.Target, WorkspaceDir))
			out = append(out, m)
		}
	}
	for _, p := range r.always {
		m := p.mount()
		m.Source = path.Join(r.project, p.path)
		if !slices.ContainsFunc(out, func(o Mount) bool { return o.Source == m.Source }) && (p.never != "" || !r.opened(p.path)) {
			out = append(out, m)
		}
	}
	return out
}

func (r *reading) inWorkspace() []Mount {
	var out []Mount
	for _, p := range r.always {
		full := path.Join(r.project, p.path)
		if !within(full, r.root) || r.opened(p.path) && p.never == "" {
			continue
		}
		m := p.mount()
		m.Target = path.Join(WorkspaceDir, strings.TrimPrefix(full, r.root))
		if p.path == defaultLock {
			m.Name = lockMount
		}
		out = append(out, m)
	}
	for _, t := range r.space.Strings("hide") {
		out = r.add(out, t, Hide, "workspace.hide")
	}
	for _, t := range r.space.Strings("read_only") {
		out = r.add(out, t, ReadOnly, "workspace.read_only")
	}
	return out
}

// add adds a path of a list, unless it lies in one that is hidden already.
func (r *reading) add(to []Mount, t block.Text, kind, name string) []Mount {
	file, one := literal(t)
	if !one || pathProblem(t) != "" {
		return to
	}
	target := path.Join(WorkspaceDir, file)
	if i := slices.IndexFunc(to, func(m Mount) bool { return m.Target == target }); i >= 0 {
		if kind == Hide { // hiding says more
			to[i].Type, to[i].Name = Hide, name
		}
		return to
	}
	fi, err := os.Lstat(path.Join(r.root, file))
	dir := strings.HasSuffix(file, "/") || err == nil && fi.IsDir()
	dir = dir || err != nil && path.Base(file) == gitName // an empty file there stops git
	return append(to, Mount{Name: name, Target: target, Type: kind, Dir: dir})
}

func pathProblem(t block.Text) string {
	switch {
	case strings.ContainsFunc(t.Text, unicode.IsControl):
		return "holds a control character. Remove it"
	case t.Text == "" || path.Clean(t.Text) == ".":
		return "names the whole workspace. Use access = \"ro\", or leave the workspace out"
	case path.IsAbs(t.Text):
		return "begins with /, and paths here are relative to the workspace. Write it without"
	case slices.Contains(strings.Split(t.Text, "/"), ".."):
		return "leads upwards. Write a path in the workspace"
	}
	if _, one := literal(t); !one {
		return patternProblem(t.Text)
	}
	return ""
}

// openProblem says what is wrong with a path that is to be opened, which is no pattern.
func openProblem(t block.Text) string {
	if strings.ContainsAny(t.Text, "*?[") {
		return "has a pattern in it, and what is protected by default is opened path by path. Write each path"
	}
	return pathProblem(t)
}

// lists checks the four lists of the workspace block.
func (r *reading) lists(v *block.Values) {
	for name, problem := range map[string]func(block.Text) string{"hide": pathProblem, "read_only": pathProblem, "show": openProblem, "writable": openProblem} {
		for _, t := range v.Strings(name) {
			if p := problem(t); p != "" {
				r.report(block.Errorf(t.Range, "Invalid path", "%s of the workspace has %q, which %s.", name, t.Text, p))
			}
		}
	}
	r.opening(v.Strings("show"), Hide, "show")
	r.opening(v.Strings("writable"), ReadOnly, "writable")
}

// opening checks that what is opened is protected by default and can be opened.
func (r *reading) opening(ts []block.Text, kind, list string) {
	var can []string
	known := slices.Concat(r.always, always) // a path in .git may be opened, and have no meaning here
	for _, p := range always {
		if p.kind == kind && p.never == "" {
			can = append(can, p.path)
		}
	}
	for _, t := range ts {
		clean := path.Clean(t.Text)
		i := slices.IndexFunc(known, func(p protection) bool { return p.path == clean })
		switch {
		case openProblem(t) != "":
		case i >= 0 && known[i].never != "":
			r.report(block.Errorf(t.Range, "Path can't be opened", "%s stays protected: %s. Remove it from %s.", clean, known[i].never, list))
		case i < 0 || known[i].kind != kind:
			r.report(block.Errorf(t.Range, "Path is not protected", "%s has %q, and opens only what is protected by default: %s. Remove it.", list, t.Text, strings.Join(can, ", ")))
		case slices.ContainsFunc(slices.Concat(r.space.Strings("hide"), r.space.Strings("read_only")), func(o block.Text) bool { return path.Clean(o.Text) == clean }):
			r.report(block.Errorf(t.Range, "Path opened and closed", "%q is in %s, and another list closes it. Remove it from one of them.", t.Text, list))
		}
	}
}

// Link implements kinds.Linker: a tree belongs to one sandbox, protects the lock file
// that the python block names, and keeps the layer that is there.
func (Words) Link(in kinds.LinkInput) []plan.Object {
	var was Tree
	in.Recall(TreeAddr, &was)
	var box string
	var set packages.Set
	for _, o := range in.Objects {
		switch o.Addr {
		case process.SandboxAddr:
			box = o.Digest()
		case packages.SetAddr:
			if o.Decode(&set) != nil {
				set = packages.Set{}
			}
		}
	}
	out := slices.Clone(in.Objects)
	for i, o := range out {
		var t Tree
		if o.Addr != TreeAddr || o.Decode(&t) != nil {
			continue
		}
		t.Sandbox = box
		t.Mounts = relock(t.Mounts, set.Lock.Path)
		if t.Layer == (LayerID{}) {
			t.Layer = was.Layer
		}
		out[i] = o.With(t)
	}
	return out
}

// relock lets the protection of the lock file be for the file that there is, wherever
// a mount shows it. An unknown path leaves the default one protected.
func relock(mounts []Mount, lock string) []Mount {
	if lock == "" {
		return mounts
	}
	out := slices.DeleteFunc(slices.Clone(mounts), func(m Mount) bool { return m.Name == lockMount })
	for i, m := range slices.Clone(out) {
		if m.Type != Bind || !within(lock, m.Source) {
			continue
		}
		target := path.Join(m.Target, strings.TrimPrefix(lock, m.Source))
		switch {
		case target == m.Target: // it is the file itself
			out[i].Access = "ro"
		case !shadowed(out, m, target):
			out = append(out, Mount{Name: lockMount, Target: target, Type: ReadOnly})
		}
	}
	return out
}

// shadowed reports whether something else than m is seen at target, or it is protected.
func shadowed(mounts []Mount, m Mount, target string) bool {
	return slices.ContainsFunc(mounts, func(o Mount) bool {
		return within(target, o.Target) && (o.Type == Hide || o.Type == ReadOnly || o.Target != m.Target && within(o.Target, m.Target))
	})
}
