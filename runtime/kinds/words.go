// Package kinds holds the interfaces that a kind of block implements. The one
// ordered list of kinds is in the packages below, words and hosts.
//
// A kind has two halves. Its words (runtime/<kind>) say what may be written and
// what that means as objects: pure, part of the command line. Its host half
// (a package below runtime/<kind>) observes and applies those objects: part of
// the daemon, listed in package hosts.
package kinds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/state"
)

// Words is the half of a kind that a person writes.
type Words interface {
	config.Words
	// Describe tells a person about one change of an object of this kind.
	// Either side may be missing. It is pure and never fails: what it can't
	// read it shows as it stands.
	Describe(c plan.Change) plan.Description
}

// A Concealer has attributes that are for commands, and not for those who read a
// plan or a state.
type Concealer interface {
	// Conceal returns the attributes of an object of this kind as they may be shown
	// anywhere, and the same structure with true in the place of each value that is
	// hidden; nil where nothing is. It is pure and never fails: what it can't read it
	// hides.
	Conceal(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage)
}

// A Resolver turns wishes that need the outside world, such as version ranges,
// into settled attributes before anything is planned.
type Resolver interface {
	// Resolve returns objs with its own objects settled; others it only reads.
	// It changes nothing on the host but caches.
	Resolve(ctx context.Context, in ResolveInput) ([]plan.Object, hcl.Diagnostics)
}

// ResolveInput is what a Resolver works on.
type ResolveInput struct {
	Env      state.Env     // whose records these are, and on whose behalf Blast acts
	Project  string        // folder of blast.hcl
	Objects  []plan.Object // all objects of one environment
	Recorded []plan.Object // what the last apply left: preferred where it still fits
	Upgrade  Upgrade       // take the newest of these, and not what the lock has
	Settled  []plan.Object // of a saved plan or a snapshot: taken if they answer what is asked, and nothing else is
	Of       string        // what Settled is of, if it is no saved plan: "snapshot clean"
	Progress func(string)  // told what is being done; may be nil
	Lock     func([]byte)  // told what a lock file holds now, nothing if there is none; may be nil
}

// A Linker fills in attributes that no line says: they follow from other objects, or
// stay as they were recorded.
type Linker interface {
	// Link returns in.Objects with its own objects completed. It is pure.
	Link(in LinkInput) []plan.Object
}

// LinkInput is what a Linker works on.
type LinkInput struct {
	Objects  []plan.Object // all objects of one environment
	Recorded []plan.Object // what the last apply left
	Replace  []string      // addresses whose objects are to be made anew, though nothing about them changed
}

// Incarnation is the number that an object has in an attribute of its own, so that it
// can be made anew without another change: as recorded, or the next one.
func (in LinkInput) Incarnation(addr string, recorded int) int {
	if slices.Contains(in.Replace, addr) || slices.Contains(in.Replace, plan.Object{Addr: addr}.Kind()) {
		return recorded + 1
	}
	return recorded
}

// Recall decodes the recorded attributes of an object, and reports whether there are any.
func (in LinkInput) Recall(addr string, attrs any) bool {
	for _, o := range in.Recorded {
		if o.Addr == addr {
			return o.Decode(attrs) == nil
		}
	}
	return false
}

// A Porter takes objects of a kind out of a project, for a snapshot, and writes the lines
// that would make them in another.
//
// What comes from a snapshot may be a stranger's. It is never applied: it is written as
// blocks of blast.hcl and read like any other, so that nothing gets in that no blast.hcl
// could say, and what protects every project protects that one, too.
type Porter interface {
	// Leave returns the kind's objects without what is of the place that they leave,
	// and without secrets. What lies in the project is named from there.
	Leave(objs []plan.Object, from Place) ([]plan.Object, error)
	// Write writes what would make objects that Leave has returned, or somebody else
	// made up. It is pure.
	Write(objs []plan.Object, to *block.Writer) error
}

// A Completer has attributes that no line of blast.hcl can say.
type Completer interface {
	// Complete completes the kind's objects, made of what Write wrote, with what left
	// says. It refuses what it would not have let through either.
	Complete(objs, left []plan.Object) ([]plan.Object, error)
}

// Place is where objects are of.
type Place struct {
	Project  string // absolute folder
	UID, GID int    // the person
}

// Strictly decodes attributes that a stranger may have made up: a name that isn't known
// is an error.
func Strictly(o plan.Object, attrs any) error {
	dec := json.NewDecoder(bytes.NewReader(o.Attrs))
	dec.DisallowUnknownFields()
	if err := dec.Decode(attrs); err != nil {
		return fmt.Errorf("attributes of %s: %w", o.Addr, err)
	}
	return nil
}

// Outside is the Extra of a diagnostic that is not about what is written: a server
// is down, say. Trying again may help, which no other diagnostic says.
type Outside struct{}
