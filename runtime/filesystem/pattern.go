package filesystem

import (
	"errors"
	"path"
	"slices"
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/pathglob"
)

// A Pattern protects each path of the workspace that it matches, also where a mount shows
// it at another place.
type Pattern struct {
	Name string `json:"name"` // key into Src: "workspace.hide"
	Type string `json:"type"` // Hide | ReadOnly
	// Glob is a pattern of pathglob. One that begins with / is for paths from the source
	// of the workspace, any other for names in any folder of it.
	Glob string `json:"glob"`
	Dir  bool   `json:"dir,omitempty"` // only folders
	// Except are paths from the source of the workspace that a line opens.
	Except []string `json:"except,omitempty"`
}

// Match reports whether the pattern names a path, clean and from the source of the
// workspace, without a / before it.
func (p Pattern) Match(rel string, folder bool) bool {
	return (folder || !p.Dir) && !slices.Contains(p.Except, rel) && pathglob.Exact(p.Glob, "/"+rel)
}

// MayMatch reports whether the pattern may match something of this name.
func (p Pattern) MayMatch(name string, folder bool) bool {
	return (folder || !p.Dir) && pathglob.MayEnd(p.Glob, name)
}

// Below reports whether the pattern may match something in a folder.
func (p Pattern) Below(rel string) bool { return pathglob.Below(p.Glob, path.Join("/", rel)) }

// Text is the pattern as it is written in blast.hcl.
func (p Pattern) Text() string {
	text, rooted := strings.CutPrefix(p.Glob, "/")
	if rooted && !strings.Contains(text, "/") {
		text = "./" + text
	}
	if p.Dir {
		text += "/"
	}
	return text
}

func (p Pattern) says() string {
	if p.Type == Hide {
		return p.Text() + " hidden"
	}
	return p.Text() + " read-only"
}

// same reports whether two patterns do the same.
func (p Pattern) same(o Pattern) bool {
	return p.Type == o.Type && p.Glob == o.Glob && p.Dir == o.Dir && slices.Equal(p.Except, o.Except)
}

// maxPatterns bounds with how many each name of the workspace is compared.
const maxPatterns = 100

// newPattern is what a line of hide or read_only means that is no path.
func newPattern(text, kind string, except []string) Pattern {
	clean := strings.TrimSuffix(text, "/")
	glob := path.Clean(clean)
	if strings.Contains(clean, "/") {
		glob = "/" + glob
	}
	return Pattern{Name: listOf(kind), Type: kind, Glob: glob, Dir: clean != text, Except: except}
}

// literal is the path that a line of hide or read_only names, or no if it is a pattern.
func literal(t block.Text) (name string, ok bool) { return pathglob.Literal(t.Text) }

// patternProblem says what is wrong with a pattern.
func patternProblem(text string) string {
	if strings.HasSuffix(strings.TrimSuffix(text, "/"), `\`) {
		return `ends in a \, which takes the meaning from the character after it. Write \\ for the character itself`
	}
	p := newPattern(text, Hide, nil)
	if pathglob.Everything(p.Glob) {
		return "matches whatever lies there. Use access = \"ro\", or leave the workspace out"
	}
	switch err := pathglob.Check(p.Glob); {
	case errors.Is(err, path.ErrBadPattern):
		return `is no pattern: a [ has no ] behind it. Write \\[ for the character itself`
	case err != nil:
		return "is no pattern: " + err.Error() + ". Correct it"
	}
	return ""
}

// globs are the patterns of the lists of the workspace.
func (r *reading) globs() []Pattern {
	if r.root == "" {
		return nil
	}
	var all []Pattern
	for _, list := range []struct{ name, kind string }{{"hide", Hide}, {"read_only", ReadOnly}} {
		for _, t := range r.space.Strings(list.name) {
			if _, one := literal(t); one || pathProblem(t) != "" {
				continue
			}
			p := newPattern(t.Text, list.kind, r.exempt())
			if !slices.ContainsFunc(all, p.same) {
				all = append(all, p)
			}
			if len(all) == maxPatterns+1 {
				r.report(block.Errorf(t.Range, "Too many patterns", "hide and read_only of the workspace have more than %d patterns, and each name in it is compared with all of them. Put several into one, or name folders.", maxPatterns))
			}
		}
	}
	return all
}

// exempt are the paths that are opened, from the source of the workspace.
func (r *reading) exempt() []string {
	var all []string
	for _, p := range r.always {
		full := path.Join(r.project, p.path)
		if p.never == "" && r.opened(p.path) && full != r.root && within(full, r.root) {
			all = append(all, strings.TrimPrefix(full, path.Join(r.root, "/")+"/"))
		}
	}
	return all
}

// matched finds the pattern that protects a path of the host, or a folder that it lies in.
func (r *reading) matched(file string) (Pattern, bool) {
	if r.root == "" || file == r.root || !within(file, r.root) {
		return Pattern{}, false
	}
	for rel := strings.TrimPrefix(file, path.Join(r.root, "/")+"/"); rel != "."; rel = path.Dir(rel) {
		for _, p := range r.globs() {
			if p.Match(rel, true) {
				return p, true
			}
		}
	}
	return Pattern{}, false
}

// patternItems tell of patterns that come and go.
func patternItems(from, to []Pattern) []plan.Item {
	var items []plan.Item
	for _, p := range to {
		if !slices.ContainsFunc(from, p.same) {
			items = append(items, plan.Item{Name: p.Name, Action: plan.Create, After: p.says(), Access: plan.Narrow})
		}
	}
	for _, p := range from {
		if !slices.ContainsFunc(to, p.same) {
			items = append(items, plan.Item{Name: p.Name, Action: plan.Delete, Before: p.says(), Access: plan.Widen})
		}
	}
	return items
}
