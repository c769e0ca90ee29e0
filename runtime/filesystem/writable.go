package filesystem

import (
	"path"
	"slices"
	"strings"
)

// Writable reports whether commands can write to a file of the host, or make it.
func (t Tree) Writable(file string) bool {
	for _, m := range t.Mounts {
		if m.Type == Bind && m.Access == "rw" && within(file, m.Source) && !shadowed(t.Mounts, m, path.Join(m.Target, strings.TrimPrefix(file, m.Source))) {
			return true
		}
	}
	return false
}

// Shows reports whether commands can read a file of the host, if its mode lets them.
func (t Tree) Shows(file string) bool {
	for _, m := range t.Mounts {
		if m.Type != Bind || !within(file, m.Source) {
			continue
		}
		target := path.Join(m.Target, strings.TrimPrefix(file, m.Source))
		if !slices.ContainsFunc(t.Mounts, func(o Mount) bool {
			return within(target, o.Target) && (o.Type == Hide || o.Type != ReadOnly && o.Target != m.Target && within(o.Target, m.Target))
		}) {
			return true
		}
	}
	return false
}
