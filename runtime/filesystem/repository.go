package filesystem

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
)

// gitName is git's folder in a project, or the file that says where that is.
const gitName = ".git"

// defaults are the protections of a project: always, with those of git's folder
// where that lies.
//
// In a worktree and in a submodule .git is a file, "gitdir: PATH", and is itself
// what must not be changed. It is protected with dir: should it be removed on
// the host, an empty file would stop git there, and an empty folder is none of git's.
func defaults(project string) []protection {
	fi, err := os.Lstat(path.Join(project, gitName))
	if err != nil || fi.IsDir() {
		return always
	}
	all := slices.DeleteFunc(slices.Clone(always), protection.ofGit)
	all = append(all, protection{path: gitName, kind: ReadOnly, dir: true, never: "it names the folder that git takes hooks and settings from"})
	dir, inside := namedGit(project)
	if !inside {
		return all
	}
	for _, p := range always {
		if p.ofGit() {
			p.path = path.Join(dir, strings.TrimPrefix(p.path, gitName))
			p.never = "it lies in the folder that " + gitName + " names"
			all = append(all, p)
		}
	}
	return all
}

// ofGit reports whether a protection lies in .git.
func (p protection) ofGit() bool { return within(p.path, gitName) }

// maxGitFile is more than a path can have.
const maxGitFile = 1 << 13

// namedGit is the folder that the file .git names, relative to the project, if it
// lies in there.
func namedGit(project string) (dir string, inside bool) {
	f, err := os.OpenFile(path.Join(project, gitName), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxGitFile))
	if err != nil {
		return "", false
	}
	dir, ok := strings.CutPrefix(strings.TrimRight(string(b), "\r\n"), "gitdir: ")
	if !ok {
		return "", false
	}
	if !path.IsAbs(dir) {
		dir = path.Join(project, dir)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	rel, inside := strings.CutPrefix(path.Clean(dir), project+"/")
	return rel, inside
}

// linkedGit refuses a symbolic link in place of .git in the workspace: a protection
// is for a path, and whoever can change the link can lead git elsewhere.
func (r *reading) linkedGit(root string, at hcl.Range) *hcl.Diagnostic {
	git := path.Join(r.project, gitName)
	fi, err := os.Lstat(git)
	if err != nil || fi.Mode()&fs.ModeSymlink == 0 || !within(git, root) {
		return nil //nolint:nilerr // absent, or not to be looked at: no link
	}
	to, err := filepath.EvalSymlinks(git)
	if err != nil {
		to = "PATH"
	}
	return block.Errorf(at, "Symbolic link in place of .git", "%s in the workspace is a symbolic link: whoever can change it could lead git on the host to other hooks and settings. Replace it by a file with the line \"gitdir: %s\", which means the same to git.", gitName, to)
}
