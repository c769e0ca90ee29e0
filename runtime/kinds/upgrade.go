package kinds

import "slices"

// An Upgrade says which packages are chosen anew, the newest that fit, whatever the
// lock has. The zero value is none.
type Upgrade struct {
	All  bool
	Only []string // names as PEP 503 normalises them
}

// Any reports whether something is to be chosen anew.
func (u Upgrade) Any() bool { return u.All || len(u.Only) > 0 }

// Of reports whether a project is.
func (u Upgrade) Of(name string) bool { return u.All || slices.Contains(u.Only, name) }
