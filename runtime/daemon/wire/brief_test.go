package wire

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"blast.example/blast/plan"
)

// What is left out of an answer the caller can put back, whatever it knew.
func TestBriefAndWhole(t *testing.T) {
	obj := func(addr, v string) plan.Object { return plan.NewObject(addr, v, nil) }
	recorded := []plan.Object{obj("a.1", "x"), obj("a.2", "y"), obj("a.3", "z")}
	full := LookResult{Lineage: "l", Serial: 7, Recorded: recorded, Observed: []plan.Object{obj("a.1", "x"), obj("a.2", "other"), obj("a.4", "new")}}
	byAddr := cmpopts.SortSlices(func(a, b plan.Object) bool { return a.Addr < b.Addr })
	for _, p := range []LookParams{{}, {Lineage: "l", Serial: 7}, {Lineage: "l", Serial: 6}, {Lineage: "m", Serial: 7}} {
		b, err := json.Marshal(full.Brief(p))
		if err != nil {
			t.Fatal(err)
		}
		var got LookResult
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if want := p.Lineage == "l" && p.Serial == 7; got.Known != want || want && len(got.Observed) != 2 {
			t.Errorf("%+v: %s", p, b)
		}
		if diff := cmp.Diff(full, got.Whole(recorded), byAddr, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v: %s", p, diff)
		}
	}
}
