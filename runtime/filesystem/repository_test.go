package filesystem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/config/configtest"
)

// gitFile is a project in which .git is not a folder.
func gitFile(t *testing.T, inner, content string) string {
	t.Helper()
	dir := project(t, inner)
	if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".git"), []byte(strings.ReplaceAll(content, "{P}", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// In worktrees and submodules .git is a file: it is protected, and what it names
// if that lies in the workspace.
func TestGitIsAFile(t *testing.T) {
	for content, want := range map[string]string{
		"gitdir: /elsewhere/.git/worktrees/x\n": "",
		"gitdir: ../../.git/modules/x\n":        "",
		"gitdir: .bare\n":                       ".bare",
		"gitdir: ./a/../.bare/\r\n":             ".bare",
		"gitdir: {P}/in/side":                   "in/side",
		"gitdir: src/real\n":                    "src/real", // absent
		"gitdir: linked\n":                      "src",
		"gitdir: {P}x\n":                        "",
		"gitdir: .\n":                           "", // the project: no folder of git's has blast.hcl in it
		"junk":                                  "",
		"":                                      "",
		strings.Repeat("x", 1<<20):              "",
	} {
		dir := gitFile(t, "workspace {\n  writable = [\".git/hooks\"]\n}", content)
		if err := os.Symlink("src", filepath.Join(dir, "linked")); err != nil {
			t.Fatal(err)
		}
		got := tree(t, dir)
		if m, _ := got.at("/workspace/.git"); m.Type != ReadOnly || !m.Dir {
			t.Errorf("%.40q: .git is %+v", content, m)
		}
		var lie []string
		for _, m := range got.Mounts {
			if strings.HasSuffix(m.Target, "/hooks") || strings.HasSuffix(m.Target, "/commondir") && m.Content != "" {
				lie = append(lie, m.Type+" "+m.Target)
			}
		}
		all := ""
		if want != "" {
			all = "read-only /workspace/" + want + "/commondir read-only /workspace/" + want + "/hooks"
		}
		if s := strings.Join(lie, " "); s != all {
			t.Errorf("%.40q: %s, want %s", content, s, all)
		}
	}
}

func TestGitFileCantBeOpened(t *testing.T) {
	dir := gitFile(t, "workspace {\n  writable = [\".git\"]\n}", "gitdir: /elsewhere\n")
	_, diags := configtest.Load(t, dir, Words{})
	if len(diags) != 1 || diags[0].Summary != "Path can't be opened" {
		t.Errorf("%v", diags)
	}
}

// All of .git can be closed, also while there is none.
func TestGitAsAWhole(t *testing.T) {
	dir := project(t, "workspace {\n  read_only = [\".git\"]\n}")
	for range 2 {
		var all []Mount
		for _, m := range tree(t, dir).Mounts {
			if within(m.Target, "/workspace/.git") {
				all = append(all, m)
			}
		}
		if len(all) != 1 || all[0].Type != ReadOnly || !all[0].Dir || all[0].Content != "" {
			t.Errorf("%+v", all)
		}
		if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
			t.Fatal(err)
		}
	}
}

// What a link leads to is not what lies at the path.
func TestGitIsALink(t *testing.T) {
	for to, fix := range map[string]string{"src": "{P}/src", "absent": "PATH"} {
		dir := project(t, "workspace {\n}")
		if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, ".git")); err != nil {
			t.Fatal(err)
		}
		_, diags := configtest.Load(t, dir, Words{})
		want := "gitdir: " + strings.ReplaceAll(fix, "{P}", dir)
		if len(diags) != 1 || diags[0].Summary != "Symbolic link in place of .git" || !strings.Contains(diags[0].Detail, want) || diags[0].Subject.Start.Line != 2 {
			t.Errorf("%v", diags)
		}
	}
	dir := project(t, "workspace {\n  source = \"src\"\n}") // it is not shown
	if err := os.Rename(filepath.Join(dir, ".git"), filepath.Join(dir, "git")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("git", filepath.Join(dir, ".git")); err != nil {
		t.Fatal(err)
	}
	tree(t, dir)
}

// A protection that goes because its folder is protected now opens nothing.
func TestDescribeGitChangesKind(t *testing.T) {
	protected := func(targets ...string) Tree {
		var to Tree
		for _, p := range targets {
			to.Mounts = append(to.Mounts, Mount{Name: "workspace.read_only", Target: "/workspace/" + p, Type: ReadOnly})
		}
		return to
	}
	folder, file := protected(".git/config", ".git/hooks"), protected(".git")
	for want, c := range map[string][2]Tree{
		"+ workspace.read_only narrow; - workspace.read_only; - workspace.read_only":              {folder, file},
		"+ workspace.read_only narrow; + workspace.read_only narrow; - workspace.read_only widen": {file, folder},
	} {
		var all []string
		for _, it := range mountItems(c[0], c[1]) {
			all = append(all, strings.TrimSpace(it.Action.Sign()+" "+it.Name+" "+string(it.Access)))
		}
		if got := strings.Join(all, "; "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
