package filesystem

import (
	"os"
	"path/filepath"
	"testing"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
)

// TestLockIsProtectedInMounts: the lock file can't be written by another way than the
// workspace, as what it says is installed.
func TestLockIsProtectedInMounts(t *testing.T) {
	const (
		space = "workspace {\n  source = \".\"\n}\n"
		locks = "mount \"/srv/locks\" {\n  source = \"locks\"\n  access = \"rw\"\n}\n"
		file  = "mount \"/srv/lock\" {\n  source = \"locks/pylock.toml\"\n  access = \"rw\"\n}\n"
		over  = "mount \"/workspace/locks\" {\n  source = \"other\"\n  access = \"rw\"\n}\n"
	)
	for name, c := range map[string]struct {
		src  string
		want []string // read-only
		not  string   // not touched
	}{
		"workspace":      {space, []string{"/workspace/locks/pylock.toml"}, "/workspace"},
		"both":           {space + locks, []string{"/workspace/locks/pylock.toml", "/srv/locks/pylock.toml"}, "/srv/locks"},
		"a mount alone":  {locks, []string{"/srv/locks/pylock.toml"}, "/srv/locks"},
		"the file":       {file, []string{"/srv/lock"}, ""},
		"another folder": {space + over, nil, "/workspace/locks"},
	} {
		dir := project(t, c.src)
		for _, d := range []string{"locks", "other"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		lock := filepath.Join(dir, "locks/pylock.toml")
		if err := os.WriteFile(lock, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		objs, diags := configtest.Load(t, dir, Words{})
		if diags.HasErrors() {
			t.Fatal(name, diags)
		}
		set := plan.NewObject(packages.SetAddr, packages.Set{Lock: packages.Lock{Path: lock}}, nil)
		got := configtest.Decode[Tree](t, (Words{}).Link(kinds.LinkInput{Objects: append(objs, set)}), TreeAddr)
		if got.Writable(lock) {
			t.Errorf("%s: the lock can be written: %+v", name, got.Mounts)
		}
		for _, w := range c.want {
			if m, _ := got.at(w); m.Type != ReadOnly && m.Access != "ro" {
				t.Errorf("%s: %s is %+v", name, w, m)
			}
		}
		if m, _ := got.at(c.not); c.not != "" && m.Access != "rw" {
			t.Errorf("%s: control: %+v", name, m)
		}
		if _, there := got.at("/workspace/locks/pylock.toml"); there && c.want == nil {
			t.Errorf("%s: what isn't the lock is protected", name)
		}
	}
}
