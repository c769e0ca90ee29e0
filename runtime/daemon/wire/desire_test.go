package wire

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"blast.example/blast/plan"
)

// What is desired as it is recorded isn't sent, and is known all the same, or the
// daemon says that it doesn't know it.
func TestDesire(t *testing.T) {
	obj := func(addr, v string) plan.Object { return plan.NewObject(addr, v, nil) }
	recorded := []plan.Object{obj("a.1", "x"), obj("a.2", "y"), obj("a.3", "gone")}
	desired := []plan.Object{obj("a.1", "x"), obj("a.2", "other"), obj("a.4", "new")}
	bySize := cmpopts.SortSlices(func(a, b plan.Object) bool { return a.Addr < b.Addr })
	for _, c := range []struct {
		serial, now uint64
		lineage     string
		recorded    []plan.Object
		sent        int
		known       bool
	}{
		{serial: 7, now: 7, lineage: "l", recorded: recorded, sent: 2, known: true},
		{serial: 7, now: 8, lineage: "l", recorded: recorded, sent: 2},
		{serial: 7, now: 7, lineage: "other", recorded: recorded, sent: 2},
		{serial: 7, now: 7, lineage: "l", recorded: recorded[1:], sent: 2},
		{serial: 0, now: 0, lineage: "", recorded: nil, sent: 3, known: true},
	} {
		p := LookParams{Serial: c.serial}
		if c.serial != 0 {
			p.Lineage = "l"
		}
		b, err := json.Marshal(p.Desire(desired, recorded))
		if err != nil {
			t.Fatal(err)
		}
		var got LookParams
		if err := json.Unmarshal(b, &got); err != nil || len(got.Desired) != c.sent {
			t.Errorf("%+v: %s, %v", c, b, err)
		}
		all, known := got.Whole(c.lineage, c.now, c.recorded)
		if known != c.known || known && cmp.Diff(desired, all, bySize) != "" {
			t.Errorf("%+v: %v %v", c, all, known)
		}
	}
}
