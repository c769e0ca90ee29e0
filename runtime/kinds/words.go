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
}

// A Linker fills in attributes that follow from other objects.
type Linker interface {
	// Link returns objs with its own objects completed. It is pure.
	Link(objs []plan.Object) []plan.Object
}

// Outside is the Extra of a diagnostic that is not about what is written: a server
// is down, say. Trying again may help, which no other diagnostic says.
type Outside struct{}
