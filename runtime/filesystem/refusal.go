package filesystem

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A Rule is why something at a path, or below it, is refused, and what a person may do.
type Rule struct {
	Path string `json:"path"`
	Kind string `json:"kind"`          // Hide, ReadOnly, or Bind: mounted read-only
	Why  string `json:"why"`           // "the workspace hides secrets"
	Fix  string `json:"fix,omitempty"` // what to write into blast.hcl; "" if no line allows it
	Item string `json:"-"`             // key into the tree's Src: whose line it is
}

// Rules are those of the tree, the outer ones first.
func (t Tree) Rules() []Rule {
	var out []Rule
	for _, m := range t.Mounts {
		switch {
		case m.Type == Hide, m.Type == ReadOnly:
			out = append(out, t.protectionRule(m))
		case m.Type == Bind && m.Access == "ro":
			block := "workspace block"
			if m.Target != WorkspaceDir {
				block = "mount " + strconv.Quote(m.Target)
			}
			out = append(out, Rule{m.Target, Bind, fmt.Sprintf("the %s shows it read-only", block), fmt.Sprintf("write access = \"rw\" in the %s of blast.hcl", block), m.Name + ".access"})
		}
	}
	slices.SortStableFunc(out, func(a, b Rule) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

func (t Tree) protectionRule(m Mount) Rule {
	does, list, opens := "hides %s", "hide", "show"
	if m.Type == ReadOnly {
		does, list, opens = "keeps %s from being written", "read_only", "writable"
	}
	r := Rule{Path: m.Target, Kind: m.Type, Item: m.Name}
	name := strings.TrimPrefix(m.Target, WorkspaceDir+"/")
	if p, ok := builtIn(m); ok {
		r.Item = "workspace" // no list names it
		r.Why = fmt.Sprintf("Blast always "+does+": %s", p.path, cmp.Or(p.never, p.reason))
		if p.never == "" {
			r.Fix = fmt.Sprintf("write %s = [%q] in the workspace block of blast.hcl", opens, p.path)
		}
		return r
	}
	if m.Type == Hide && slices.ContainsFunc(secretNames, func(n string) bool { return strings.HasSuffix(m.Target, "/"+n) }) {
		r.Item = "workspace"
		r.Why = fmt.Sprintf("Blast always hides %s: it holds keys", path.Base(m.Target))
		return r
	}
	r.Why = fmt.Sprintf("the workspace block "+does, name)
	r.Fix = fmt.Sprintf("remove %q from %s in the workspace block of blast.hcl", name, list)
	return r
}

// builtIn finds the protection that a mount is, if it is one that is always there. In
// other places than the workspace it is known by the end of its path.
func builtIn(m Mount) (protection, bool) {
	for _, p := range always {
		at := path.Join(WorkspaceDir, p.path)
		if p.kind == m.Type && (m.Target == at || !within(m.Target, WorkspaceDir) && strings.HasSuffix(m.Target, "/"+p.path)) {
			return p, true
		}
	}
	if m.Name == lockMount {
		return protection{path: path.Base(m.Target), never: "it says what is installed; blast changes it"}, true
	}
	return protection{}, false
}

// Refusal says why the kernel refused something at a path of the sandbox. Its Path is ""
// if no line decided that.
func (t Tree) Refusal(at string, errno syscall.Errno) Rule {
	rules := t.Rules()
	for _, r := range slices.Backward(rules) { // the innermost first
		if within(at, r.Path) && r.refuses(errno) {
			return r
		}
	}
	for _, p := range t.Patterns {
		if match, ok := p.Covers(at); ok && p.rule(match).refuses(errno) {
			return p.rule(match)
		}
	}
	if errno == syscall.EBUSY || errno == syscall.EROFS {
		for _, r := range rules {
			if r.Kind != Bind && within(r.Path, at) { // what would take it away
				r.Why = "it holds " + path.Base(r.Path) + ", and " + r.Why
				return r
			}
		}
	}
	switch {
	case errno == syscall.EBUSY:
		return Rule{Why: "something is mounted there"}
	case errno == syscall.EROFS:
		return Rule{Why: "the sandbox's own system is read-only: write in " + strings.Join(t.writable(), ", ")}
	case errno == syscall.EOVERFLOW:
		return Rule{Why: "it, or its folder, belongs to another user of the host"}
	case within(at, "/proc"), within(at, "/sys"), within(at, "/dev"):
		return Rule{Why: "the kernel shows it to nobody in a sandbox"}
	}
	return Rule{Why: "the permissions of the file or its folder say so, and no line of blast.hcl"}
}

// Covers is what the pattern names: a path of the sandbox, or a folder that it is in.
func (p Pattern) Covers(at string) (match string, ok bool) {
	rel, inside := strings.CutPrefix(at, WorkspaceDir+"/")
	for ; inside && rel != "."; rel = path.Dir(rel) {
		if p.Match(rel, true) { // who knows what it is: it was refused
			return path.Join(WorkspaceDir, rel), true
		}
	}
	return "", false
}

func (p Pattern) rule(match string) Rule {
	does, list := "hides", "hide"
	if p.Type == ReadOnly {
		does, list = "keeps from being written what matches", "read_only"
	}
	return Rule{
		Path: match, Kind: p.Type, Item: p.Name,
		Why: fmt.Sprintf("the workspace block %s %s", does, p.Text()),
		Fix: fmt.Sprintf("remove %q from %s in the workspace block of blast.hcl", p.Text(), list),
	}
}

// refuses reports whether a rule is one that makes the kernel answer so.
func (r Rule) refuses(errno syscall.Errno) bool {
	switch r.Kind {
	case Hide:
		return true
	case ReadOnly:
		return errno == syscall.EROFS || errno == syscall.EBUSY
	}
	return errno == syscall.EROFS
}

// writable are the places that a command may write in.
func (t Tree) writable() []string {
	var out []string
	for _, m := range t.Mounts {
		if m.Type == Layer || m.Type == Tmpfs || m.Type == Bind && (m.Access == "rw" || m.Access == Overlay) {
			out = append(out, m.Target)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ToldFile is where a sandbox finds Told, in what package inside shows.
const ToldFile = "files.json"

// Told is what a sandbox may know of it, for whoever explains an error there: see package
// sitehook.
type Told struct {
	Rules    []Rule   `json:"rules"`
	Writable []string `json:"writable"`
}

// Told is that of the tree.
func (t Tree) Told() Told {
	return Told{append([]Rule{}, t.Rules()...), append([]string{}, t.writable()...)}
}
