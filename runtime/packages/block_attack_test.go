package packages

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"blast.example/blast/config/configtest"
)

// TestManifestsThatAreNone: code in the sandbox may put anything in the place of a
// manifest, or of what one names. None of it is waited for, read outside of the
// project, or told of more than its own lines.
func TestManifestsThatAreNone(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("root:hash-of-root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := func(name string) error { return syscall.Mkfifo(name, 0o666) }
	link := func(to string) func(string) error {
		return func(name string) error { return os.Symlink(to, name) }
	}
	for manifest, lines := range map[string]string{"requirements.txt": "good\n", "outer.txt": "-r requirements.txt\n", "limits.txt": "-c requirements.txt\n", "pyproject.toml": ""} {
		for what, plant := range map[string]func(string) error{
			"pipe": pipe, "device": link("/dev/zero"), "link": link(secret), "itself": link("requirements.txt"), "folder": func(n string) error { return os.Mkdir(n, 0o755) },
		} {
			t.Run(manifest+" "+what, func(t *testing.T) {
				dir := configtest.Project(t, "python {\n  manifest = \""+manifest+"\"\n}\n")
				if lines != "" && manifest != "requirements.txt" {
					write(t, dir, map[string]string{manifest: lines})
				}
				planted := "requirements.txt"
				if manifest == "pyproject.toml" {
					planted = manifest
				}
				if err := plant(filepath.Join(dir, planted)); err != nil {
					t.Fatal(err)
				}
				_, diags := configtest.Load(t, dir, Words{})
				if !diags.HasErrors() || strings.Contains(diags.Error(), "hash-of-root") {
					t.Errorf("%v", diags)
				}
			})
		}
	}
}
