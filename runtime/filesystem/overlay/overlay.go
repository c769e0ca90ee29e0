// Package overlay is the list of what commands have written over a project, where that lies
// in a layer: what a person reviews, and what is taken over then. Package upper makes the
// list, package accept takes it over.
package overlay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Kinds of changes, as git names them.
const (
	Added    = "A"
	Modified = "M"
	Deleted  = "D"
	Retyped  = "T" // something else than before lies there: a link in the place of a folder
)

// Types of what lies at a path.
const (
	File   = "file"
	Folder = "folder"
	Link   = "link"
	Other  = "other" // FIFO, socket or device
)

// A Change is one path of the project that commands see otherwise than it is.
type Change struct {
	Path   string `json:"path"` // relative to the source of the workspace
	Kind   string `json:"kind"`
	Type   string `json:"type"`             // of what there is now, or of what was deleted
	Before string `json:"before,omitempty"` // type of what lies in the project, if there is anything
	Size   int64  `json:"size"`             // bytes of a file
	Was    int64  `json:"size_before,omitempty"`
	Mode   uint32 `json:"mode,omitempty"` // permission bits of a file that is taken over
	Link   string `json:"link,omitempty"` // where a link leads

	// Marks say what deserves a look: "executable", "runs on the host", "inside .git".
	Marks []string `json:"marks,omitempty"`
	// Conflict says that the project's own file was changed since commands began to change theirs.
	Conflict string `json:"conflict,omitempty"`
	// Refused says why it can't be taken over at all, Doubtful why only when that is insisted on.
	Refused  string `json:"refused,omitempty"`
	Doubtful string `json:"doubtful,omitempty"`

	// Stamp is when what lies in the project was changed last, in ns after 1970 (ctime). It
	// is in the digest: who accepts has seen what it is compared with.
	Stamp int64 `json:"before_ctime,omitempty"`
	// Content is a digest of the bytes of a file.
	Content string `json:"content,omitempty"`

	Old []byte `json:"old,omitempty"` // content in the project, if it was asked for and is not large
	New []byte `json:"new,omitempty"` // likewise, in the layer
}

// Blocked reports why a change is not to be taken over; "" is that it may be.
func (c Change) Blocked(force bool) string {
	switch {
	case c.Refused != "":
		return c.Refused
	case force:
		return ""
	case c.Conflict != "":
		return c.Conflict
	}
	return c.Doubtful
}

// Digest tells a list of changes from any other.
func Digest(cs []Change) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, c := range cs {
		c.Old, c.New = nil, nil
		_ = enc.Encode(c) // a hash takes all
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Select returns the changes at or below one of the paths, and which paths have none. No
// path is all. What was made in a new folder brings the folder along.
func Select(cs []Change, paths []string) (chosen []Change, none []string) {
	if len(paths) == 0 {
		return cs, nil
	}
	used := make([]bool, len(paths))
	want := make([]bool, len(cs))
	for i, c := range cs {
		for j, p := range paths {
			if within(c.Path, p) {
				want[i], used[j] = true, true
			}
		}
	}
	bringFolders(cs, want)
	for i, c := range cs {
		if want[i] {
			chosen = append(chosen, c)
		}
	}
	for j, p := range paths {
		if !used[j] {
			none = append(none, p)
		}
	}
	return chosen, none
}

// bringFolders wants each new folder that something wanted lies in. Changes are sorted by path.
func bringFolders(cs []Change, want []bool) {
	for i, c := range cs {
		if c.Type != Folder || c.Kind != Added && c.Kind != Retyped {
			continue
		}
		for j := i + 1; !want[i] && j < len(cs) && within(cs[j].Path, c.Path); j++ {
			want[i] = want[j]
		}
	}
}

func within(p, dir string) bool {
	return p == dir || dir == "." || strings.HasPrefix(p, dir+"/")
}

// TooManyError is a layer with more changes than anybody can review.
type TooManyError struct{ Max int }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("there are more than %d changes in the layer: name paths, or discard what is not wanted", e.Max)
}
