package filesystem

import (
	"path"
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
