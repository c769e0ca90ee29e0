package packages

import (
	"slices"

	"blast.example/blast/plan"
)

// Link implements kinds.Linker. Places of requirements are for the resolver's
// explanations, and it is done: moving a line of a manifest changes nothing.
func (Words) Link(objs []plan.Object) []plan.Object {
	out := slices.Clone(objs)
	for i, o := range out {
		var set Set
		if o.Addr != SetAddr || o.Decode(&set) != nil {
			continue
		}
		for j := range set.Wishes.Requirements {
			set.Wishes.Requirements[j].Place = ""
		}
		out[i] = plan.NewObject(o.Addr, set, o.Src)
	}
	return out
}
