package overlay

import (
	"path"
	"slices"
	"strings"
)

// runners are names of files that programs of the person's run, or take commands from, by
// themselves. The list helps a reader and protects from nothing.
var runners = []string{
	".envrc", ".bashrc", ".profile", ".zshrc", ".direnv", ".vscode", ".idea", ".devcontainer", ".github", ".gitlab-ci.yml", ".circleci",
	".pre-commit-config.yaml", ".husky", ".gitmodules", ".gitattributes", ".lfsconfig", ".npmrc", "package.json",
	"Makefile", "GNUmakefile", "makefile", "CMakeLists.txt", "justfile", "Justfile", "Taskfile.yml", "Dockerfile", "Rakefile",
	"conftest.py", "setup.py", "setup.cfg", "pyproject.toml", "tox.ini", "noxfile.py", "tasks.py", "pytest.ini", "sitecustomize.py", "usercustomize.py", "manage.py",
}

// Mark says what a reader should look at twice.
func Mark(c Change, wasExecutable bool) []string {
	var all []string
	if c.Type == File && c.Mode&0o111 != 0 && !wasExecutable && c.Kind != Deleted {
		all = append(all, "executable")
	}
	parts := strings.Split(c.Path, "/")
	switch {
	case slices.ContainsFunc(parts, func(p string) bool { return strings.EqualFold(p, ".git") }):
		all = append(all, "inside .git")
	case slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(runners, p) }) || path.Ext(c.Path) == ".pth":
		all = append(all, "runs on the host")
	}
	return all
}

// Doubt says why a link is taken over only when that is insisted on.
func Doubt(c Change) string {
	if c.Type != Link {
		return ""
	}
	to := path.Join(path.Dir(c.Path), c.Link)
	if path.IsAbs(c.Link) || to == ".." || strings.HasPrefix(to, "../") {
		return "is a symbolic link that leads out of the project"
	}
	return ""
}
