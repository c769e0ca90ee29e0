package filesystem

import (
	"slices"
	"strings"
)

// In returns the mounts of a tree whose project is in another folder by now: what lay
// in Project lies there.
func (t Tree) In(project string) []Mount {
	ms := slices.Clone(t.Mounts)
	for i := range ms {
		ms[i].Source = Moved(ms[i].Source, t.Project, project)
	}
	return ms
}

// Moved is where a path of the host is after a project was moved from one folder to
// another. An unknown folder is "": then all is where it was.
func Moved(path, from, to string) string {
	if from == "" || to == "" || from == to || path == "" || !within(path, from) {
		return path
	}
	return to + strings.TrimPrefix(path, from)
}
