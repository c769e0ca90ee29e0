package filesystem

import (
	"strings"
	"testing"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

// The next apply keeps the layer that is there, whatever it was made of; and so does
// a rollback, as generations hold no files.
func TestLayerIsKept(t *testing.T) {
	objs, diags := configtest.Load(t, project(t, "workspace {\n  source = \".\"\n}"), Words{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l := NewLayer("sha256:x", "clean", "lineage", 3)
	if again := NewLayer("sha256:x", "clean", "lineage", 4); again.ID == l.ID || len(l.ID) != 16 || NewLayer("sha256:x", "other", "lineage", 3).ID != l.ID {
		t.Errorf("%+v %+v", l, again)
	}
	recorded := WithLayer(objs, l)
	if got := configtest.Decode[Tree](t, (Words{}).Link(kinds.LinkInput{Objects: objs, Recorded: recorded}), TreeAddr); got.Layer != l {
		t.Errorf("%+v", got.Layer)
	}
	other := NewLayer("sha256:y", "other", "lineage", 5)
	if got := configtest.Decode[Tree](t, (Words{}).Link(kinds.LinkInput{Objects: WithLayer(objs, other), Recorded: recorded}), TreeAddr); got.Layer != other {
		t.Errorf("%+v", got.Layer)
	}
	if got := configtest.Decode[Tree](t, KeepLayer(WithLayer(objs, other), recorded), TreeAddr); got.Layer != l {
		t.Errorf("%+v", got.Layer)
	}
	if got := configtest.Decode[Tree](t, KeepLayer(WithLayer(objs, other), nil), TreeAddr); got.Layer != (LayerID{}) {
		t.Errorf("%+v", got.Layer)
	}
}

// A plan says that another layer takes a new sandbox, and that what is there is lost.
func TestDescribeLayer(t *testing.T) {
	objs, _ := configtest.Load(t, project(t, "workspace {\n  source = \".\"\n}"), Words{})
	tree := func(l LayerID) []byte { return WithLayer(objs, l)[0].Attrs }
	a, b := NewLayer("sha256:x", "clean", "l", 3), NewLayer("sha256:x", "clean", "l", 4)
	d := (Words{}).Describe(plan.Change{Addr: TreeAddr, From: tree(a), To: tree(b)})
	if len(d.Items) != 1 || d.Items[0].Name != "layer" || !d.Items[0].Restart || d.Items[0].After != "of snapshot clean" || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "replaced") {
		t.Errorf("%+v", d)
	}
	if d = (Words{}).Describe(plan.Change{Addr: TreeAddr, To: tree(a)}); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "begins") {
		t.Errorf("%+v", d)
	}
	if d = (Words{}).Describe(plan.Change{Addr: TreeAddr, From: tree(a), To: tree(a)}); len(d.Items)+len(d.Notes) != 0 {
		t.Errorf("%+v", d)
	}
	rest := plan.NewObject(TreeAddr, Tree{Mounts: []Mount{}, LayerSize: defaultLayerSize, Layer: LayerID{ID: a.ID}}, nil).Attrs
	if d = (Words{}).Describe(plan.Change{Addr: TreeAddr, From: rest, To: tree(a)}); len(d.Items)+len(d.Notes) != 0 {
		t.Errorf("of one that is down: %+v", d)
	}
	if d = (Words{}).Describe(plan.Change{Addr: TreeAddr, From: rest, To: tree(b)}); len(d.Items) != 1 || len(d.Notes) != 1 {
		t.Errorf("of one that is down: %+v", d)
	}
}
