//go:build linux

package mounts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/filesystem"
)

// gitEnv lets git depend on nothing but the repository.
const gitEnv = `export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
`

// repository is a world whose project is a repository, with one commit and
// more, as a person would.
func repository(t *testing.T, more string) *world {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	w := newWorld(t, map[string]string{"app.py": "print()\n", "blast.hcl": "#\n", ".gitignore": ".env\n"})
	w.shell(t, gitEnv+"git init -q; git add .; git commit -qm 1; "+more)
	return w
}

// without is a tree without the protections of these paths of the workspace.
func without(tree filesystem.Tree, paths ...string) filesystem.Tree {
	tree.Mounts = slices.DeleteFunc(slices.Clone(tree.Mounts), func(m filesystem.Mount) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(m.Target, "/workspace/"+p) })
	})
	return tree
}

func readOnlyAt(path string, dir bool) filesystem.Mount {
	return filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/" + path, Type: filesystem.ReadOnly, Dir: dir}
}

// evil is a configuration that lets git run a program, and says of any folder that
// it is a repository's.
const evil = `printf '[core]\nrepositoryformatversion=0\nbare=false\nfsmonitor=touch ran; false\n' >/tmp/evil; cd /workspace; `

// tricks are what a command can do so that git on the host runs its program, and
// which protection keeps from that: by default, or only .git as a whole.
var tricks = map[string]struct{ script, needs, closed string }{
	"hooks and settings elsewhere": {"mkdir e; cp -r .git/objects .git/refs e; cp /tmp/evil e/config; echo ../e >.git/commondir", "", ".git/commondir"},
	"settings of the worktree":     {"cp /tmp/evil .git/config.worktree", "git config extensions.worktreeConfig true", ".git/config.worktree"},
	"the project as a bare repository": {
		"cp -r .git/objects .git/refs .git/index .git/HEAD .; { cat /tmp/evil; echo worktree=.; } >config; rm .git/HEAD", "", ".git"},
	"the same, by rights": {
		"cp -r .git/objects .git/refs .git/index .git/HEAD .; { cat /tmp/evil; echo worktree=.; } >config; chmod 0 .git", "", ".git"},
	"a nested repository in the index": {
		"git init -q s; git -C s commit -q --allow-empty -m s; c=$(git -C s rev-parse HEAD); git update-index --add --cacheinfo 160000,$c,s; cp /tmp/evil s/.git/config", "", ".git"},
}

// What git on the host takes programs from, can't be made by a command; and
// what the default leaves open, .git as a whole read-only closes.
func TestGitRunsNothing(t *testing.T) {
	for name, c := range tricks {
		t.Run(name, func(t *testing.T) {
			for _, protected := range []bool{false, true} {
				w := repository(t, c.needs)
				w.start(t, box1)
				tree := w.usual(box1)
				switch {
				case !protected && c.closed != ".git":
					tree = without(tree, c.closed)
				case !protected:
				case c.closed == ".git":
					tree = without(tree, ".git/")
					tree.Mounts = append(tree.Mounts, readOnlyAt(".git", true))
				default:
					tree.Mounts = append(tree.Mounts, readOnlyAt(".git/config.worktree", false))
				}
				w.create(t, tree)
				_, out := w.run(t, box1, gitEnv+evil+c.script)
				w.shell(t, gitEnv+"git status || true; git diff || true; git commit -q --allow-empty -m 2 || true")
				marks, err := filepath.Glob(w.path("*/ran"))
				if _, serr := os.Lstat(w.path("ran")); err != nil || serr == nil {
					marks = append(marks, "ran")
				}
				switch ran := len(marks) > 0; {
				case protected && ran:
					t.Errorf("git ran it: %s", out)
				case !protected && !ran && c.closed == ".git":
					t.Log("this git doesn't run it by default: the test shows nothing: " + out)
				case !protected && !ran:
					t.Errorf("git doesn't run it unprotected: the test shows nothing: %s", out)
				}
				w.shell(t, "chmod 755 .git")
			}
		})
	}
}

// With the placeholders in place, git does its work on both sides.
func TestGitWorks(t *testing.T) {
	w := repository(t, "")
	w.start(t, box1)
	tree := w.usual(box1, readOnlyAt(".git/config.worktree", false))
	w.create(t, tree)
	w.sync(t)
	w.must(t, box1, gitEnv+"set -e; cd /workspace; test -z \"$(git status --porcelain)\"; echo >f; git add f; git commit -qm 2; git switch -qc b")
	w.shell(t, gitEnv+`test -z "$(git status --porcelain)"
test "$(git rev-parse --git-common-dir)" -ef .git
git commit -q --allow-empty -m 3; git worktree add -q wt; git -C wt status; git worktree list; git worktree remove wt
git gc -q; git fsck; git clone -q . c; rm -rf c; git config a.b c; git sparse-checkout init; git sparse-checkout disable; git init -q; test "$(git config a.b)" = c`)
	eventually(t, "not put back", func() bool { return len(w.observed(t).Drift) == 0 })
	w.commit(t, w.apply(t, &tree, nil))
	w.end(t, box1)
	w.sync(t)
	if _, err := os.Lstat(w.path(".git/commondir")); err == nil {
		t.Error(".git/commondir is left")
	}
	w.shell(t, gitEnv+`test -z "$(git status --porcelain)"; test "$(git log --oneline | wc -l)" = 3`)
	w.nothingLeft(t)
}

// The .git of a worktree is a file: it stays what it is, whatever the host makes of
// it, and gives way to a folder that another apply protects.
func TestGitFile(t *testing.T) {
	w := newWorld(t, map[string]string{"blast.hcl": "#\n", ".git": "gitdir: /elsewhere\n", "e/hooks/x": "x"})
	w.start(t, box1)
	file := without(w.usual(box1), ".git/")
	file.Mounts = append(file.Mounts, readOnlyAt(".git", true))
	if ps := w.check(t, file); len(ps) > 0 {
		t.Errorf("a plan says %v", ps)
	}
	w.create(t, file)
	w.sync(t)
	refused := func(when string) {
		t.Helper()
		for _, attack := range []string{"echo gitdir: e >.git", "mv .git x", "rm -rf .git; mv e .git", "ln -sfn e .git", "mkdir .git/hooks", "echo x >.git/HEAD"} {
			if code, out := w.run(t, box1, "cd /workspace && "+attack); code == 0 {
				t.Errorf("%s: %s: %s", when, attack, out)
			}
		}
		w.sees(t, file)
	}
	refused("as it was")
	for _, script := range []string{"echo gitdir: /other >n; mv n .git", "rm .git", "until rmdir .git && echo gitdir: /elsewhere >.git; do :; done 2>/dev/null", "rm .git; mkdir -p .git/hooks; echo >.git/HEAD"} {
		w.shell(t, script)
		eventually(t, "not put back: "+script, func() bool { return len(w.observed(t).Drift) == 0 })
		refused(script)
	}
	folder := w.usual(box1)
	w.commit(t, w.apply(t, &file, &folder))
	w.sees(t, folder)
	w.must(t, box1, "echo x >/workspace/.git/new")
	if code, _ := w.run(t, box1, "echo x >/workspace/.git/commondir"); code == 0 {
		t.Error("the folder is not protected")
	}
	w.commit(t, w.apply(t, &folder, &file))
	refused("and back")
	w.commit(t, w.apply(t, &file, nil))
	w.end(t, box1)
	w.sync(t)
	w.nothingLeft(t)
}
