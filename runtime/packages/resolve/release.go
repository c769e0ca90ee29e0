package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/solver"
	"blast.example/blast/runtime/packages/tags"
)

// project is one project of the index, seen with the eyes of one interpreter.
type project struct {
	index      string
	candidates []solver.Candidate
	releases   map[string]*release // by key of the version
}

// release is one version.
type release struct {
	version pep440.Version
	file    index.File // that would be installed; Name is "" if there is none
	rank    int
	build   tags.Build
	why     reason // why there is none
}

// reason is why a file can't be used. The one that says most is told: that there
// is a wheel for another machine, too, doesn't matter if the version is yanked.
type reason struct {
	weight int
	text   string
}

// unlisted is the weight of the reason that the hashes of the lines leave a file out,
// which would do otherwise.
const unlisted = 7

// newest is the version that would be chosen if no line said which: the newest release,
// or if there is none the newest pre-release; nil if nothing can be used.
func (pr *project) newest() *pep440.Version {
	for _, c := range pr.candidates {
		if rel := pr.releases[key(c.Version)]; c.Unusable == "" || rel.why.weight == unlisted {
			return &c.Version
		}
	}
	return nil
}

// newProject sorts the files of a project.
func newProject(name, from string, files []index.File, py *interpreter.Found, p *policy) *project {
	if p == nil {
		p = &policy{}
	}
	out := &project{index: from, releases: map[string]*release{}}
	for _, f := range files {
		out.take(name, f, py, p)
	}
	for _, rel := range out.releases {
		c := solver.Candidate{Version: rel.version}
		if rel.file.Name == "" {
			c.Unusable = rel.why.text
		}
		out.candidates = append(out.candidates, c)
	}
	slices.SortFunc(out.candidates, p.order)
	return out
}

// order puts the best first: what is there already, then releases, the newest
// first, then pre-releases, which are taken only if no release will do (PEP
// 440, as uv reads it).
func (p *policy) order(a, b solver.Candidate) int {
	preferred := func(v pep440.Version) int { return btoi(p.prefer == nil || !p.prefer.Equal(v)) }
	return cmp.Or(
		preferred(a.Version)-preferred(b.Version),
		btoi(a.Version.IsPrerelease())-btoi(b.Version.IsPrerelease()),
		b.Version.Compare(a.Version))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// take decides whether a file is the one to install of its version. What is no
// distribution of the project is left alone, whatever its name tries.
func (pr *project) take(name string, f index.File, py *interpreter.Found, p *policy) {
	w, err := tags.ParseWheelName(f.Name)
	if err != nil {
		if s, err := tags.ParseSdistName(f.Name); err == nil && normal(s.Name) == name {
			rel := pr.release(s.Version)
			rel.unless(reason{1, "there is only its source, and Blast installs wheels"})
		}
		return
	}
	if w.Name != name {
		return
	}
	rel := pr.release(w.Version)
	rank, why := p.judge(f, w, py)
	if why.text != "" {
		rel.unless(why)
		return
	}
	if rel.file.Name == "" || rank < rel.rank || rank == rel.rank && w.Build.Compare(rel.build) > 0 {
		rel.file, rel.rank, rel.build = f, rank, w.Build
	}
}

func (pr *project) release(v pep440.Version) *release {
	k := key(v)
	if pr.releases[k] == nil {
		pr.releases[k] = &release{version: v}
	}
	return pr.releases[k]
}

func (rel *release) unless(why reason) {
	if why.weight > rel.why.weight {
		rel.why = why
	}
}

// judge ranks a wheel, or says why it can't be used here.
func (p *policy) judge(f index.File, w tags.WheelName, py *interpreter.Found) (int, reason) {
	rank, ok := py.Tags.Rank(w.Tags)
	switch {
	case !ok:
		return 0, reason{2, fmt.Sprintf("no wheel for Python %s on this machine", py.Env.PythonVersion)}
	case f.Problem != "":
		return 0, reason{3, f.Problem}
	case f.SHA256 == "":
		return 0, reason{4, "the index gives no SHA-256 of it"}
	}
	if f.RequiresPython != "" && !fitsPython(f.RequiresPython, py) {
		return 0, reason{5, "it needs Python " + clip(f.RequiresPython)}
	}
	switch {
	case !p.before.IsZero() && !p.isPinned(w.Version) && f.Uploaded.IsZero():
		return 0, reason{5, "cooldown is set, and the index doesn't tell when it was uploaded"}
	case !p.before.IsZero() && !p.isPinned(w.Version) && f.Uploaded.After(p.before):
		return 0, reason{5, "it was uploaded on " + f.Uploaded.UTC().Format(time.DateOnly) + ", within the cooldown"}
	case f.Yanked != "" && !p.mayBeYanked(w.Version):
		return 0, reason{6, "yanked: " + clip(f.Yanked)}
	case len(p.hashes) > 0 && !slices.ContainsFunc(p.hashes, func(h string) bool { return matches(f, h) }):
		return 0, reason{unlisted, "its hash is not among those of the requirements"}
	}
	return rank, reason{}
}

func (p *policy) mayBeYanked(v pep440.Version) bool {
	return p.prefer != nil && p.prefer.Equal(v) || p.isPinned(v)
}

func (p *policy) isPinned(v pep440.Version) bool { return slices.ContainsFunc(p.pinned, v.Equal) }

// matches compares "sha256:1234...".
func matches(f index.File, hash string) bool {
	name, digits, _ := strings.Cut(strings.ToLower(hash), ":")
	return digits != "" && f.Hashes[name] == digits
}

// fitsPython takes what can't be read as fitting, as pip does: old files hold
// much that is no specifier.
func fitsPython(requires string, py *interpreter.Found) bool {
	specs, err := pep440.ParseSpecifiers(requires)
	return err != nil || specs.Contains(py.Version)
}

// key is the same for equal versions: 1.0 and 1.0.0.
func key(v pep440.Version) string {
	s := v.String()
	epoch, rest, ok := strings.Cut(s, "!")
	if !ok {
		epoch, rest = "", s
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(rest)
	}
	if end > 0 && rest[end-1] == '.' { // of ".post1"
		end--
	}
	release := rest[:end]
	for strings.HasSuffix(release, ".0") {
		release = strings.TrimSuffix(release, ".0")
	}
	return epoch + "!" + release + rest[end:]
}

func normal(name string) string { return pep508.NormalizeName(name) }

// clip keeps what an index says short and on one line.
func clip(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
