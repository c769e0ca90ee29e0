package inside_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/state"
)

// Whatever the umask, all may read and nobody but the owner may write; the last one
// to remove its files removes the folder.
func TestFolder(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	env := state.Env{Run: t.TempDir() + "/run"}
	dir, err := inside.Make(env)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, name := range []string{"a", "b/c"} {
			if err := inside.Write(env, name, []byte(name)); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(inside.Path(env, name)); err != nil || string(b) != name {
				t.Errorf("%q %v", b, err)
			}
		}
	}
	for path, want := range map[string]os.FileMode{env.Run: 0o700, dir: 0o755, dir + "/a": 0o644, dir + "/b": 0o755, dir + "/b/c": 0o644} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	for _, step := range []struct {
		name string
		left bool
	}{{"a", true}, {"b", false}, {"b", false}} {
		if err := inside.Remove(env, step.name); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); (err == nil) != step.left {
			t.Errorf("without %s: %v", step.name, err)
		}
	}
}
