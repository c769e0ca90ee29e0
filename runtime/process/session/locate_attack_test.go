package session

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLocateStaysInTheProject: no name of an environment leads out of .blast, not even one of
// a folder that lies there.
func TestLocateStaysInTheProject(t *testing.T) {
	project, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(project)
	if err := os.WriteFile("blast.hcl", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if env, err := Locate("ci"); err != nil || env.Dir != filepath.Join(project, ".blast", "ci") {
		t.Errorf("control: %+v, %v", env, err)
	}
	for _, name := range []string{"..", "../..", "../../etc", "a/../../b"} {
		if env, err := Locate(name); err == nil {
			t.Errorf("%q leads to %s", name, env.Dir)
		}
	}
	if err := os.MkdirAll(".blast/a\nb", 0o755); err != nil {
		t.Fatal(err)
	}
	if env, err := Locate(""); err == nil {
		t.Errorf("%q", env.Dir)
	}
	odd := filepath.Join(project, "a\xff")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(odd, "blast.hcl"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(odd)
	if env, err := Locate("ci"); err == nil {
		t.Errorf("%q", env.Project)
	}
}
