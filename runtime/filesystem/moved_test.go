package filesystem

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/plan"
)

func TestMoved(t *testing.T) {
	for _, c := range []struct{ path, from, to, want string }{
		{"/a", "/a", "/b", "/b"},
		{"/a/x/y", "/a", "/b/c", "/b/c/x/y"},
		{"/ab", "/a", "/b", "/ab"},
		{"/data", "/a", "/b", "/data"},
		{"/a/x", "/a", "/a/sub", "/a/sub/x"},
		{"/a/x", "", "/b", "/a/x"},
		{"/a/x", "/a", "", "/a/x"},
		{"", "/", "/b", ""},
	} {
		if got := Moved(c.path, c.from, c.to); got != c.want {
			t.Errorf("%q from %q to %q is %q, want %q", c.path, c.from, c.to, got, c.want)
		}
	}
	tree := Tree{Project: "/a", Mounts: []Mount{{Target: "/workspace", Source: "/a"}, {Target: "/tmp"}, {Target: "/data", Source: "/data"}}}
	want := []Mount{{Target: "/workspace", Source: "/b"}, {Target: "/tmp"}, {Target: "/data", Source: "/data"}}
	if d := cmp.Diff(want, tree.In("/b")); d != "" {
		t.Error(d)
	}
	if tree.Mounts[0].Source != "/a" {
		t.Error("the tree itself was changed")
	}
}

// The same folder by another path lets nobody do more or less; another folder does.
func TestMovedProjectIsNoOtherAccess(t *testing.T) {
	bind := func(project, source string) Tree {
		return Tree{Project: project, Sandbox: "x", Mounts: []Mount{{Name: "workspace", Target: "/workspace", Type: Bind, Source: source, Access: "rw", Exec: true}}}
	}
	for to, want := range map[string]plan.Access{"/b": plan.Same, "/b/sub": plan.Both} {
		d := Words{}.Describe(plan.Change{
			Addr: TreeAddr,
			From: plan.NewObject(TreeAddr, bind("/a", "/a"), nil).Attrs, To: plan.NewObject(TreeAddr, bind("/b", to), nil).Attrs,
		})
		if len(d.Items) != 1 || d.Items[0].Name != "workspace" || d.Items[0].Access != want || d.Items[0].Before != "/a read-write" || d.Items[0].After != to+" read-write" {
			t.Errorf("to %s: %+v", to, d.Items)
		}
	}
}
