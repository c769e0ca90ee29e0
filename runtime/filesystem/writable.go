package filesystem

import (
	"path"
	"strings"
)

// Writable reports whether commands can write to a file of the host, or make it.
func (t Tree) Writable(file string) bool {
	for _, m := range t.Mounts {
		if m.Type != Bind || m.Access != "rw" || !within(file, m.Source) {
			continue
		}
		if !t.protects(path.Join(m.Target, strings.TrimPrefix(file, m.Source))) {
			return true
		}
	}
	return false
}

// protects reports whether a path of the sandbox is read-only or hidden.
func (t Tree) protects(target string) bool {
	kind := ""
	for _, m := range t.Mounts { // a parent before what lies below it
		if within(target, m.Target) {
			kind = m.Type
			if m.Type == Bind && m.Access != "rw" {
				kind = ReadOnly
			}
		}
	}
	return kind == Hide || kind == ReadOnly
}
