package filesystem

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"blast.example/blast/plan"
)

// NewLayer names the layer that is made of a snapshot's blob, from the state with this
// lineage and serial: loaded again later, it is another one.
func NewLayer(content, snapshot, lineage string, serial uint64) LayerID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", content, lineage, serial))
	return LayerID{ID: hex.EncodeToString(sum[:8]), Content: content, Snapshot: snapshot}
}

// WithLayer returns objs with that layer in the tree.
func WithLayer(objs []plan.Object, l LayerID) []plan.Object {
	out := slices.Clone(objs)
	for i, o := range out {
		var t Tree
		if o.Addr == TreeAddr && o.Decode(&t) == nil {
			t.Layer = l
			out[i] = o.With(t)
		}
	}
	return out
}

// KeepLayer returns the objects of an earlier generation with the layer that is
// recorded now: generations hold no files, and what was written since stays.
func KeepLayer(objs, recorded []plan.Object) []plan.Object {
	var now Tree
	for _, o := range recorded {
		if o.Addr == TreeAddr && o.Decode(&now) != nil {
			return objs
		}
	}
	return WithLayer(objs, now.Layer)
}

// text is how a plan calls the layer.
func (l LayerID) text() string {
	switch {
	case l.ID == "":
		return "begun empty"
	case l.Snapshot != "":
		return "of snapshot " + l.Snapshot
	}
	return l.ID
}

// layerItems tell of a layer that takes the place of another.
func layerItems(from, to LayerID) []plan.Item {
	if from.ID == to.ID {
		return nil
	}
	return []plan.Item{{Name: "layer", Action: plan.Replace, Before: from.text(), After: to.text(), Restart: true}}
}

// layerNotes say what that means for the files.
func layerNotes(there bool, from, to LayerID) []string {
	switch {
	case from.ID == to.ID || to.Content == "":
		return nil
	case !there:
		return []string{"the writable layer begins with the files of snapshot " + to.Snapshot}
	}
	return []string{"what commands wrote outside of the workspace and mounts is replaced by the files of snapshot " + to.Snapshot}
}

// openedItems tell of protections that one snapshot has and another hasn't.
func openedItems(from, to []string) []plan.Item {
	var items []plan.Item
	for _, p := range always {
		was, is := slices.Contains(from, p.path), slices.Contains(to, p.path)
		name := map[string]string{Hide: "workspace.show", ReadOnly: "workspace.writable"}[p.kind]
		switch {
		case is && !was:
			items = append(items, plan.Item{Name: name, Action: plan.Create, After: p.path, Access: plan.Widen})
		case was && !is:
			items = append(items, plan.Item{Name: name, Action: plan.Delete, Before: p.path, Access: plan.Narrow})
		}
	}
	return items
}
