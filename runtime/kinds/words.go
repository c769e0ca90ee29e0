// Package kinds holds the interfaces that a kind of block implements. The one
// ordered list of kinds is in the packages below, words and hosts.
//
// A kind has two halves. Its words (runtime/<kind>) say what may be written and
// what that means as objects: pure, part of the command line. Its host half
// (a package below runtime/<kind>) observes and applies those objects: part of
// the daemon, listed in package hosts.
package kinds

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
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
	Upgrade  bool          // ignore the lock and take the newest
	Settled  []plan.Object // of a saved plan: taken if they answer what is asked, and nothing else is
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

// Outside is the Extra of a diagnostic that is not about what is written: a server
// is down, say. Trying again may help, which no other diagnostic says.
type Outside struct{}
