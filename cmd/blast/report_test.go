package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/plan/view"
)

func TestRepository(t *testing.T) {
	github := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "c0ffee"}
	gitlab := map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": "/w", "CI_PROJECT_URL": "https://gitlab.example/g/p", "CI_COMMIT_SHA": "c0ffee"}
	with := func(m map[string]string, name, value string) map[string]string {
		out := map[string]string{name: value}
		for k, v := range m {
			if k != name {
				out[k] = v
			}
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		env     map[string]string
		project string
		want    view.Repository
	}{
		{"nowhere", nil, "/w", view.Repository{}},
		{"github", github, "/w", view.Repository{Lines: "https://github.com/o/r/blob/c0ffee"}},
		{"in a folder", github, "/w/services/api", view.Repository{Folder: "services/api", Lines: "https://github.com/o/r/blob/c0ffee"}},
		{"elsewhere", github, "/other", view.Repository{}},
		{"beside", github, "/w2", view.Repository{}},
		{"no commit", with(github, "GITHUB_SHA", ""), "/w/a", view.Repository{Folder: "a"}},
		{"a script for a server", with(github, "GITHUB_SERVER_URL", "javascript:alert(1)//"), "/w", view.Repository{}},
		{"a password", with(github, "GITHUB_SERVER_URL", "https://u:p@github.com"), "/w", view.Repository{}},
		{"not on github", with(github, "GITHUB_ACTIONS", ""), "/w", view.Repository{}},
		{"gitlab", gitlab, "/w/a", view.Repository{Folder: "a", Lines: "https://gitlab.example/g/p/-/blob/c0ffee"}},
	} {
		if got := repository(tt.project, func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// A report goes to a file and nowhere else, whatever a sandbox put at its name.
func TestReportsInStrangersProject(t *testing.T) {
	host := filepath.Join(t.TempDir(), "host")
	put(t, host, "host")
	t.Chdir(t.TempDir())
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	put(t, "old.md", "old")
	held, err := os.OpenFile("old.md", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if err := writeReport("old.md", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, err := held.WriteAt([]byte("forged"), 0); err != nil {
		t.Fatal(err)
	}
	if got := read(t, "old.md"); got != "new" {
		t.Errorf("who held the old one wrote into the new: %q", got)
	}
	link(t, host, "link.md")
	link(t, filepath.Join(filepath.Dir(host), "made"), "dangling.md")
	pipe(t, "pipe.md")
	for _, name := range []string{"link.md", "dangling.md", "pipe.md", ".", "no/where.md"} {
		if err := writeReport(name, []byte("x")); err == nil {
			t.Errorf("a report was written to %s", name)
		}
		if f, err := newReport(name); err == nil {
			_ = f.Close()
			t.Errorf("a stream was begun at %s", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(host), "made")); err == nil || read(t, host) != "host" {
		t.Error("a report was written through a link")
	}
	left, err := filepath.Glob(".blast-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// The file that all steps of a job share is added to, as a file.
func TestSharedFilesAreAddedTo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	put(t, "summary.md", "half a line")
	t.Setenv("GITHUB_STEP_SUMMARY", filepath.Join(dir, "summary.md"))
	for _, name := range []string{"summary.md", "../" + filepath.Base(dir) + "/summary.md"} {
		if err := writeReport(name, []byte("# "+name+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, "summary.md"); !strings.HasPrefix(got, "half a line\n\n# summary.md\n\n# ../") {
		t.Errorf("%q", got)
	}
	link(t, "summary.md", "link.md")
	pipe(t, "pipe.md")
	for _, name := range []string{"link.md", "pipe.md", "nowhere.md", "."} {
		if err := addTo(name, []byte("x")); err == nil {
			t.Errorf("added to %s", name)
		}
	}
	if strings.Contains(read(t, "summary.md"), "x\n") {
		t.Error("added through a link")
	}
}

// What others wrote gives the runner of GitHub's actions no command.
func TestTalkGivesNoCommands(t *testing.T) {
	for _, s := range []string{"::error::x", "pip said:\n  ::set-output name=changes::false", "a ##[error]b"} {
		got := visible(s)
		for l := range strings.Lines(got) {
			if strings.HasPrefix(strings.TrimSpace(l), "::") || strings.Contains(l, "##[") {
				t.Errorf("%q", got)
			}
		}
	}
}

// A cell stays in its line and column, whatever a stranger called what is in it.
func TestCellsStayInTheirLine(t *testing.T) {
	if got, want := cell("a\nforged\trow\r\x1b[2J"), "a?forged?row??[2J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
