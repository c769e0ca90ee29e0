package filesystem_test

import (
	"testing"

	"blast.example/blast/runtime/filesystem"
)

func TestWritable(t *testing.T) {
	tree := filesystem.Tree{Mounts: []filesystem.Mount{
		{Target: "/srv/sub", Type: filesystem.Bind, Source: "/p/sub", Access: "rw"},
		{Target: "/workspace", Type: filesystem.Bind, Source: "/p", Access: "rw"},
		{Target: "/workspace/.blast", Type: filesystem.Hide},
		{Target: "/workspace/a", Type: filesystem.ReadOnly},
		{Target: "/workspace/ro", Type: filesystem.Bind, Source: "/data", Access: "ro"},
		{Target: "/workspace/sub", Type: filesystem.ReadOnly},
	}}
	for file, want := range map[string]bool{
		"/p/b": true, "/p/a": false, "/p/a/x": false, "/p/ab": true, "/p/.blast/x": false, "/p2/b": false, "/data/x": false,
		"/p/sub/x": true, // through the other mount
	} {
		if got := tree.Writable(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
	tree.Mounts[1].Access = "ro"
	if tree.Writable("/p/b") {
		t.Error("a read-only workspace can be written")
	}
}

func TestShows(t *testing.T) {
	tree := filesystem.Tree{Mounts: []filesystem.Mount{
		{Target: "/workspace", Type: filesystem.Bind, Source: "/p", Access: "ro"},
		{Target: "/workspace/.blast", Type: filesystem.Hide},
		{Target: "/workspace/a", Type: filesystem.ReadOnly},
		{Target: "/workspace/over", Type: filesystem.Tmpfs},
		{Target: "/data", Type: filesystem.Bind, Source: "/p/hidden", Access: "ro"},
		{Target: "/workspace/hidden", Type: filesystem.Hide},
	}}
	for file, want := range map[string]bool{
		"/p/b": true, "/p/a/x": true, "/p/.blast/x": false, "/p/over/x": false, "/q": false,
		"/p/hidden/x": true, // through the other mount
	} {
		if got := tree.Shows(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
