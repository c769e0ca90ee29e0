// Package words is the one ordered list of kinds, as the command line sees them.
// Package hosts is its twin for the daemon; a test holds them together.
package words

import (
	"encoding/json"
	"slices"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/resolve"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/ttl"
)

// All is every kind, in the order in which it is applied: what a sandbox stands
// on before the sandbox, the sandbox before what is mounted into it, and last what
// is tried in there.
var All = []kinds.Words{
	resource.Words{},
	network.Words{},
	packageWords{},
	process.Words{},
	filesystem.Words{},
	check.Words{},
	ttl.Words{},
}

// packageWords are the python and package blocks with their resolver, which is
// a package of its own.
type packageWords struct {
	packages.Words
	resolve.Resolver
}

// ForConfig is All as the loader wants it.
func ForConfig() []config.Words {
	out := make([]config.Words, len(All))
	for i, w := range All {
		out[i] = w
	}
	return out
}

// Names are the names of All.
func Names() []string {
	out := make([]string, len(All))
	for i, w := range All {
		out[i] = w.Name()
	}
	return out
}

// Order sorts objects into the order of All and keeps it stable within a kind.
func Order(objs []plan.Object) []plan.Object {
	names := Names()
	out := slices.Clone(objs)
	slices.SortStableFunc(out, func(a, b plan.Object) int {
		return slices.Index(names, a.Kind()) - slices.Index(names, b.Kind())
	})
	return out
}

// Describe asks the kind of the change; it is a plan.Describe.
func Describe(c plan.Change) plan.Description {
	for _, w := range All {
		if w.Name() == c.Kind() {
			return w.Describe(c)
		}
	}
	return plan.Description{}
}

// Conceal asks the kind of an object what of its attributes may be shown; it is a
// view.Hide.
func Conceal(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage) {
	for _, w := range All {
		if c, ok := w.(kinds.Concealer); ok && w.Name() == (plan.Object{Addr: addr}).Kind() {
			return c.Conceal(addr, attrs)
		}
	}
	return attrs, nil
}
