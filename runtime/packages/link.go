package packages

import (
	"slices"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

// Link implements kinds.Linker. Places of requirements are for the resolver's
// explanations, and it is done: moving a line of a manifest changes nothing.
func (Words) Link(in kinds.LinkInput) []plan.Object {
	out := slices.Clone(in.Objects)
	for i, o := range out {
		var set, was Set
		if o.Addr != SetAddr || o.Decode(&set) != nil {
			continue
		}
		for j := range set.Wishes.Requirements {
			set.Wishes.Requirements[j].Place = ""
		}
		in.Recall(SetAddr, &was)
		set.Incarnation = in.Incarnation(SetAddr, was.Incarnation)
		out[i] = o.With(set)
	}
	return out
}
