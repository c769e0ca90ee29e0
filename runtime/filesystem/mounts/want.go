//go:build linux

package mounts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"blast.example/blast/runtime/filesystem"
)

// pin is the type of a folder that is bound on itself so that it can't be
// renamed: see the package comment.
const pin = "pin"

// A want is one mount that must be in the sandbox.
type want struct {
	filesystem.Mount     // Type may also be pin
	base             int // the bind, tmpfs or layer that it lies on; -1 is the skeleton
	parent           int // the want that it is mounted on: base, a pin of it, or a read-only folder

	found bool // for what a pattern matches: where that is gone, nothing is wanted
	lost  bool // it is gone
}

// mask reports whether w stands for something that lies in its base already.
func (w want) mask() bool {
	return w.Type == filesystem.Hide || w.Type == filesystem.ReadOnly || w.Type == pin
}

// overlay reports whether w shows its source below a layer.
func (w want) overlay() bool { return w.Type == filesystem.Bind && w.Access == filesystem.Overlay }

// onHost reports whether w shows a source itself: what is made in it is made on the host.
func (w want) onHost() bool { return w.Type == filesystem.Bind && !w.overlay() }

// expand lists all mounts that a tree takes, a parent before what lies on it.
func expand(mounts []filesystem.Mount) ([]want, error) {
	var ws []want
	at := places{}
	add := func(w want) {
		at[w.Target] = len(ws)
		ws = append(ws, w)
	}
	for _, m := range mounts {
		if err := valid(m); err != nil {
			return nil, err
		}
		base := at.above(m.Target, func(i int) bool { return !ws[i].mask() })
		if base >= 0 {
			for _, dir := range between(ws[base].Target, m.Target) {
				if _, there := at[dir]; !there {
					add(want{Mount: filesystem.Mount{Name: m.Name, Target: dir, Type: pin, Dir: true}, base: base, parent: -1})
				}
			}
		}
		switch i, there := at[m.Target]; {
		case !there:
			add(want{Mount: m, base: base, parent: -1})
		case ws[i].Type == pin && m.Type == filesystem.ReadOnly: // says more, in the pin's place
			m.Dir = true
			ws[i].Mount = m
		default:
			return nil, fmt.Errorf("%s: two mounts at one place", m.Target)
		}
	}
	for i, w := range ws {
		ws[i].parent = at.above(w.Target, func(int) bool { return true })
		if p := ws[i].parent; p >= 0 && ws[p].Type == filesystem.Hide {
			return nil, fmt.Errorf("%s lies in %s, which is hidden", w.Target, ws[p].Target)
		}
	}
	return ws, nil
}

// valid refuses what the words would not have let through: a plan may come from
// a file.
func valid(m filesystem.Mount) error {
	if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || isBase(m.Target) || strings.Contains(m.Target, "\x00") {
		return fmt.Errorf("%q: nothing can be mounted there", m.Target)
	}
	if m.Content != "" && (m.Type != filesystem.ReadOnly || m.Dir) {
		return fmt.Errorf("%s: only a read-only file can be made with content", m.Target)
	}
	switch m.Type {
	case filesystem.Bind, filesystem.Hide, filesystem.ReadOnly:
		return nil
	case filesystem.Tmpfs:
		if m.Size > 0 && m.Inodes >= 0 {
			return nil
		}
	case filesystem.Layer:
		if m.Name != "" && strings.Trim(m.Name, "abcdefghijklmnopqrstuvwxyz-") == "" {
			return nil
		}
	}
	return fmt.Errorf("%s: invalid mount of type %q", m.Target, m.Type)
}

// baseFolders hold what the sandbox is made of; the filesystem block can't name
// a place in them (see filesystem.Words).
var baseFolders = []string{"/proc", "/sys", "/dev", "/usr", "/etc", "/venv", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/.blast-init", stageDir}

func isBase(target string) bool {
	return target == "/" || slices.ContainsFunc(baseFolders, func(dir string) bool { return within(target, dir) })
}

// between lists the folders strictly between dir and target, upper ones first.
func between(dir, target string) []string {
	var all []string
	for d := path.Dir(target); d != dir && d != "/"; d = path.Dir(d) {
		all = append(all, d)
	}
	slices.Reverse(all)
	return all
}

// places are wants by their target.
type places map[string]int

// above finds the innermost want that target lies strictly below.
func (p places) above(target string, ok func(int) bool) int {
	for d := path.Dir(target); d != "/"; d = path.Dir(d) {
		if i, there := p[d]; there && ok(i) {
			return i
		}
	}
	return -1
}

func indexOf(ws []want, target string) int {
	return slices.IndexFunc(ws, func(w want) bool { return w.Target == target })
}

// within reports whether p is dir or lies below it. Both are clean.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// root is the want at the top of the group of want i.
func root(ws []want, i int) int {
	for ws[i].parent >= 0 {
		i = ws[i].parent
	}
	return i
}
