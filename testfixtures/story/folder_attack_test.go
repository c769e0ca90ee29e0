package story

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/testfixtures/alone"
)

// TestOddProjectFolders: whatever a project's folder is called, its files are
// protected, nothing is taken for drift, and nothing stays.
func TestOddProjectFolders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	bin := programs(t)
	root, err := os.MkdirTemp("", "blast-folder-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("/"+strings.Repeat("d", 249), 15)
	for what, name := range map[string]string{
		"plain": "p", "spaces": " a  b ", "newline": "a\nb", "options": "a:b,ro,lowerdir=/etc", "backslash": `a\040b\`, "unicode": "ü\u202ex",
		"deleted": "a//deleted", "percent": "%s%d%n", "shell": "$(touch x);`x`'\"", "flag": "-rf", "dots": "...", "long": long, "template": "${env(\"HOME\")}",
	} {
		t.Run(what, func(t *testing.T) {
			project := filepath.Join(root, what, name)
			if err := os.MkdirAll(project, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{"blast.hcl": "python {\n}\nfilesystem {\n  workspace {\n    source = \".\"\n    access = \"rw\"\n  }\n}\n", ".env": "SECRET", "open": "hello"} {
				if err := os.WriteFile(filepath.Join(project, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.CommandContext(t.Context(), "chown", "-R", fmt.Sprintf("%d:%d", person, person), filepath.Join(root, what)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			blast := func(want int, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "blast"), args...)
				cmd.Dir = project
				cmd.Env = append(os.Environ(), fmt.Sprintf("SUDO_UID=%d", person), fmt.Sprintf("SUDO_GID=%d", person), "LANG=C.UTF-8")
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if got := cmd.ProcessState.ExitCode(); got != want {
					t.Errorf("blast %s: exit %d, want %d\n%s", strings.Join(args, " "), got, want, bytes.TrimSpace(out))
				}
				return string(out)
			}
			defer blast(0, "destroy", "--auto-approve")
			blast(0, "apply", "--auto-approve")
			if t.Failed() {
				return
			}
			if got := blast(0, "run", "--", "cat", "/workspace/open"); got != "hello" {
				t.Errorf("control: %q", got)
			}
			blast(1, "run", "--", "cat", "/workspace/.env")
			blast(2, "run", "--", "sh", "-c", "echo x >/workspace/blast.hcl")
			blast(2, "run", "--", "ls", "/workspace/.blast")
			blast(0, "plan", "--detailed-exitcode")
		})
	}
	nothingLeft(t, root)
}
