package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/packages/cachedir"
)

// closed are folders of the host that no mount may show: the kernel's own, and
// those of sandboxes that run.
var closed = []string{"/proc", "/sys", "/dev", "/run/blast"}

// Closed lists them, with the cache: what lies there is installed in every
// environment.
func Closed() []string {
	if root := cachedir.Root(); root != "" {
		return append([]string{root}, closed...)
	}
	return closed
}

// source checks what a mount shows, and returns it absolute and clean. It must
// be there, and no part of its path may be a symbolic link: what is reviewed in
// blast.hcl is what is mounted, and who can change a link can't change a mount.
func (r *reading) source(text string, at hcl.Range) (string, *hcl.Diagnostic) {
	switch {
	case text == "":
		return "", block.Errorf(at, "Empty path", "source is empty. Write the path of a file or folder of the host.")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", block.Errorf(at, "Control character in a path", "source is %q, which holds a control character. Choose a path without one.", text)
	case text == "~" || strings.HasPrefix(text, "~/"):
		return "", block.Errorf(at, "Path with ~", "source is %q, and ~ is a shell's word, not a path. Write the path from /.", text)
	case slices.Contains(strings.Split(text, "/"), ".."):
		return "", block.Errorf(at, "Path leads upwards", "source is %q, and \"..\" leads out of the project, to a place that depends on where the project lies. Write the path from /: %q.", text, r.absolute(text))
	}
	abs := r.absolute(text)
	if abs == "/" {
		return "", block.Errorf(at, "Root of the host", "source is the root of the host, which shows everything. Write the folder that is needed.")
	}
	for _, dir := range Closed() {
		if within(abs, dir) || within(dir, abs) {
			return "", block.Errorf(at, "Folder can't be mounted", "source is %s, and %s is the kernel's or Blast's own: it would let the sandbox out. Write the folder that is needed.", abs, dir)
		}
	}
	if d := serves(abs, at); d != nil {
		return "", d
	}
	return abs, r.walk(abs, text, at)
}

func (r *reading) absolute(text string) string {
	if path.IsAbs(text) {
		return path.Clean(text)
	}
	return path.Join(r.project, text)
}

// walk looks at each part of the path below the root.
func (r *reading) walk(abs, text string, at hcl.Range) *hcl.Diagnostic {
	p := ""
	var fi fs.FileInfo
	for _, part := range strings.Split(strings.TrimPrefix(abs, "/"), "/") {
		p += "/" + part
		var err error
		fi, err = os.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return block.Errorf(at, "Path doesn't exist", "source is %q, and there is no %s on the host. Make it, or correct the path.", text, p)
		case err != nil:
			return block.Errorf(at, "Path can't be checked", "source is %q: %v. Choose a path that you can read.", text, err)
		case fi.Mode()&fs.ModeSymlink != 0:
			return block.Errorf(at, "Path passes a symbolic link", "source is %q, and %s is a symbolic link: whoever can change it could change what is mounted. %s", text, p, resolved(abs))
		}
	}
	if !fi.IsDir() && !fi.Mode().IsRegular() {
		return block.Errorf(at, "Not a file or folder", "source is %q, which is a socket, device or FIFO: through it a command talks to the host. Mount a file or folder.", text)
	}
	return nil
}

func resolved(abs string) string {
	to, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "Write the path that it leads to."
	}
	return fmt.Sprintf("Write the path that it leads to: %q.", to)
}

// leaks refuses mounts that would get round the workspace's protections, or show
// a folder in itself.
func (r *reading) leaks(source, target string, at hcl.Range) *hcl.Diagnostic {
	state := path.Join(r.project, stateDir)
	switch {
	case within(source, state):
		return block.Errorf(at, "Blast's own state", "source is %s, and %s holds what Blast knows about the sandbox. Choose another folder.", source, stateDir)
	case within(r.project, source):
		return block.Errorf(at, "Mount of the project", "source is %s, which holds the project with blast.hcl, its state and hidden files; only the workspace protects them. Use the workspace block, or mount a folder inside of the project.", source)
	case r.root != "" && within(target, WorkspaceDir) && within(path.Join(r.root, strings.TrimPrefix(target, WorkspaceDir)), source):
		return block.Errorf(at, "Mount inside of itself", "source is %s, and %s lies in it: the folder would show itself in itself. Choose another target.", source, target)
	}
	if p, ok := r.protectedAt(source); ok {
		return block.Errorf(at, "Protected path", "source is %s, and %s is protected in the workspace; a mount would show it elsewhere. Remove the mount, or open the path in the workspace block.", source, p)
	}
	return nil
}

// protectedAt finds the protected path of the project that source is, or lies in.
func (r *reading) protectedAt(source string) (string, bool) {
	for _, p := range r.always {
		if within(source, path.Join(r.project, p.path)) && !r.opened(p.path) {
			return p.path, true
		}
	}
	for _, h := range slices.Concat(r.space.Strings("hide"), r.space.Strings("read_only")) {
		name, one := literal(h)
		if clean := path.Clean(name); one && pathProblem(h) == "" && r.root != "" && within(source, path.Join(r.root, clean)) {
			return clean, true
		}
	}
	if p, ok := r.matched(source); ok {
		return p.Text(), true
	}
	return "", false
}

// ownDirs are folders of the sandbox that hold its own mounts.
var ownDirs = []string{HomeDir, "/home", "/var", "/var/tmp"}

// reserved are places of the sandbox that belong to its base.
var reserved = []string{"/proc", "/sys", "/dev", "/usr", "/etc", "/venv", "/run", "/bin", "/sbin", "/lib", "/lib64", "/boot"}

// target checks where a mount or tmpfs appears.
func (r *reading) target(v *block.Values) (string, *hcl.Diagnostic) {
	t := v.Label
	switch {
	case !path.IsAbs(t):
		return "", block.Errorf(v.LabelRange, "Relative path", "%s %q is a path in the sandbox, and has to begin with /. Write for example \"/srv/%s\".", v.Name, t, strings.TrimLeft(path.Clean(t), "./"))
	case strings.ContainsFunc(t, unicode.IsControl):
		return "", block.Errorf(v.LabelRange, "Control character in a path", "%s %q holds a control character. Choose a path without one.", v.Name, t)
	case path.Clean(t) != t:
		return "", block.Errorf(v.LabelRange, "Path in roundabout form", "%s %q is not written in the shortest way. Write %q.", v.Name, t, path.Clean(t))
	case t == "/":
		return "", block.Errorf(v.LabelRange, "Root of the sandbox", "A %s can't replace the root of the sandbox. Choose a folder below it.", v.Name)
	case t == WorkspaceDir:
		return "", block.Errorf(v.LabelRange, "Place of the workspace", "%s is where the workspace block mounts the project. Use that block, or choose another path.", t)
	case slices.Contains(ownDirs, t) || t == TempDir && v.Name == "mount":
		return "", block.Errorf(v.LabelRange, "Place of the sandbox's own", "%s is a folder of the sandbox's own. Choose a folder below it, or another path.", t)
	case within(t, WorkspaceDir) && r.root == "":
		return "", block.Errorf(v.LabelRange, "No workspace to mount in", "%s lies in the workspace, and there is none. Add a workspace block, or choose another path.", t)
	}
	for _, dir := range reserved {
		if within(t, dir) {
			return "", block.Errorf(v.LabelRange, "Place of the base", "%s belongs to the sandbox's base. Choose another path, such as \"/srv%s\".", t, t)
		}
	}
	if p, ok := r.covered(t); ok {
		return "", block.Errorf(v.LabelRange, "Protected path", "%s lies at or in %s, which is protected. Choose another path.", t, p)
	}
	return t, nil
}

// covered finds the protected path of the workspace that a target is or lies in.
func (r *reading) covered(target string) (string, bool) {
	for _, m := range r.protections() {
		if within(target, m.Target) {
			return m.Target, true
		}
	}
	if within(target, WorkspaceDir) {
		if p, ok := r.matched(path.Join(r.root, strings.TrimPrefix(target, WorkspaceDir))); ok {
			return p.Text(), true
		}
	}
	return "", false
}

// secretNames are what folders with keys are called.
var secretNames = []string{".aws", ".config", ".docker", ".gnupg", ".kube", ".local/share/containers", ".local/share/keyrings", ".ssh"}

// secretFolders are those of the person's home that hold keys. They matter where
// the workspace or a mount holds them, such as a project that is the home folder.
func secretFolders(uid int) []string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil || !path.IsAbs(u.HomeDir) {
		return nil
	}
	var out []string
	for _, name := range secretNames {
		out = append(out, path.Join(u.HomeDir, name))
	}
	return out
}
