package revision

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is a git repository with a project below its top, in two commits.
func repository(t *testing.T) (top string, run func(args ...string)) {
	t.Helper()
	top = t.TempDir()
	run = func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", top, "-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + top, "GIT_CONFIG_NOSYSTEM=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "-b", "main")
	write(t, top, "outside.txt", "no part of the project")
	write(t, top, "project/blast.hcl", "one")
	write(t, top, "project/sub/a file\nwith a newline.txt", "odd")
	link(t, "../blast.hcl", filepath.Join(top, "project/sub/link"))
	link(t, "/etc/passwd", filepath.Join(top, "project/sub/out"))
	link(t, "../../outside.txt", filepath.Join(top, "project/sub/up"))
	run("add", ".")
	run("commit", "-q", "-m", "one")
	write(t, top, "project/blast.hcl", "two")
	run("commit", "-q", "-am", "two")
	return top, run
}

func write(t *testing.T, top, name, text string) {
	t.Helper()
	path := filepath.Join(top, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestExtract(t *testing.T) {
	top, _ := repository(t)
	project := filepath.Join(top, "project")
	for rev, want := range map[string]string{"HEAD": "two", "HEAD~1": "one", "main": "two", "main^": "one"} {
		dir, remove, err := Extract(t.Context(), project, rev)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "blast.hcl")); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", rev, b, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "sub/link")); err != nil || string(b) != want {
			t.Errorf("through a link: %q, %v", b, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "sub/a file\nwith a newline.txt")); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"outside.txt", "sub/out", "sub/up", "project"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s is there", name)
			}
		}
		remove()
		if _, err := os.Lstat(dir); err == nil {
			t.Error("not removed")
		}
	}
}

// What is no commit is an error with git's reason, and never an option of git.
func TestNoSuchRevision(t *testing.T) {
	top, _ := repository(t)
	for _, rev := range []string{"nowhere", "", "--all", "--output=/tmp/x", "HEAD:project/blast.hcl", "HEAD\nmain", "-h"} {
		if _, _, err := Extract(t.Context(), filepath.Join(top, "project"), rev); err == nil {
			t.Errorf("%q is a commit", rev)
		}
	}
	if _, _, err := Extract(t.Context(), t.TempDir(), "HEAD"); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("without a repository: %v", err)
	}
}

// A repository names programs for many occasions. None of them runs.
func TestNothingOfTheRepositoryRuns(t *testing.T) {
	top, run := repository(t)
	proof := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(top, "program")
	write(t, top, "program", "#!/bin/sh\ntouch "+proof+"\ncat\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, top, "project/.gitattributes", "* filter=evil diff=evil\n")
	for _, setting := range []string{"filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.alternateRefsCommand"} {
		run("config", setting, program)
	}
	for _, hook := range []string{"post-checkout", "reference-transaction", "post-index-change"} {
		write(t, top, ".git/hooks/"+hook, "#!/bin/sh\ntouch "+proof+"\n")
		if err := os.Chmod(filepath.Join(top, ".git/hooks", hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, remove, err := Extract(t.Context(), filepath.Join(top, "project"), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Lstat(proof); err == nil {
		t.Error("a program of the repository ran")
	}
	run("add", "project/.gitattributes") // the control: git runs the filter here
	if _, err := os.Lstat(proof); err != nil {
		t.Error("control: the filter never runs:", err)
	}
}

// As root, git runs as the owner of the folder: it refuses another one's repository.
func TestOwnersRepository(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives a repository away")
	}
	top, _ := repository(t)
	if err := exec.CommandContext(t.Context(), "chown", "-R", "65534:65534", top).Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	_, remove, err := Extract(t.Context(), filepath.Join(top, "project"), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	remove()
}
