// Package revision reads the files of a project as they are in another revision of
// its git repository, into a folder of their own.
//
// It calls git for objects only: nothing that runs a program which the repository
// names (filters, hooks, diff drivers), and as the owner of the folder, who can
// do that anyway. Source: gitglossary(7), git-ls-tree(1), git-cat-file(1).
package revision

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// What is taken of a revision. blast.hcl and all that it can read is smaller; what is
// larger is left out, and what is more than that is refused.
const (
	maxFile  = 4 << 20 // bytes
	maxTotal = 256 << 20
	maxFiles = 50_000
)

// Extract writes the files that a folder of a git repository has in a revision into a
// new temporary folder, and returns that with what removes it.
func Extract(ctx context.Context, dir, rev string) (_ string, remove func(), err error) {
	g, err := find(dir)
	if err != nil {
		return "", nil, err
	}
	commit, err := g.run(ctx, "", "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return "", nil, fmt.Errorf("find %q in the repository of %s: %w", rev, dir, err)
	}
	list, err := g.run(ctx, "", "ls-tree", "-r", "-z", "-l", strings.TrimSpace(string(commit)))
	if err != nil {
		return "", nil, fmt.Errorf("list %q: %w", rev, err)
	}
	files, err := parse(list)
	if err != nil {
		return "", nil, fmt.Errorf("list %q: %w", rev, err)
	}
	tmp, err := os.MkdirTemp("", "blast-revision-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(tmp) }
	if tmp, err = filepath.EvalSymlinks(tmp); err != nil {
		remove()
		return "", nil, err
	}
	if err := g.write(ctx, tmp, files); err != nil {
		remove()
		return "", nil, fmt.Errorf("read %q: %w", rev, err)
	}
	return tmp, remove, nil
}

// git is a repository and as whom it is read.
type git struct {
	dir  string
	cred *syscall.Credential // nil is this process's own
}

func find(dir string) (git, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return git{}, errors.New("git is not installed, and the other revision is in its repository")
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return git{}, err
	}
	g := git{dir: dir}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && os.Geteuid() == 0 && st.Uid != 0 {
		g.cred = &syscall.Credential{Uid: st.Uid, Gid: st.Gid}
	}
	return g, nil
}

// run returns what a command of git prints.
func (g git) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "-C", g.dir}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: g.cred}
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &bounded{&out, maxTotal}, &bounded{&said, 4096}
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && said.Len() == 0:
		return nil, errors.New("git knows no such commit")
	case err != nil:
		return nil, fmt.Errorf("git %s: %.500s", args[0], bytes.TrimSpace(said.Bytes()))
	}
	return out.Bytes(), nil
}

// bounded fails when more than left bytes are written.
type bounded struct {
	w    io.Writer
	left int
}

var errTooMuch = fmt.Errorf("it has more than %d MiB below the project", maxTotal>>20)

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errTooMuch
	}
	return b.w.Write(p)
}

// A file is an entry of a tree.
type file struct {
	name, object string
	link         bool
}

// parse reads what ls-tree prints: "100644 blob <object> <size>\t<name>\0" each.
func parse(list []byte) ([]file, error) {
	var out []file
	for entry := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		head, name, _ := strings.Cut(string(entry), "\t")
		f := strings.Fields(head)
		if len(f) != 4 || f[1] != "blob" {
			continue // a submodule is another repository
		}
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil || size > maxFile || !filepath.IsLocal(name) {
			continue
		}
		if out = append(out, file{name, f[2], f[0] == "120000"}); len(out) > maxFiles {
			return nil, fmt.Errorf("it has more than %d files below the project", maxFiles)
		}
	}
	return out, nil
}

// write puts the files into a folder.
func (g git) write(ctx context.Context, dir string, files []file) error {
	var ask strings.Builder
	for _, f := range files {
		ask.WriteString(f.object + "\n")
	}
	b, err := g.run(ctx, ask.String(), "cat-file", "--batch")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	r := bufio.NewReader(bytes.NewReader(b))
	for _, f := range files {
		text, err := next(r)
		if err == nil {
			err = put(root, f, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// next reads what cat-file --batch prints of one object: "<object> blob <size>\n", the
// content, "\n".
func next(r *bufio.Reader) ([]byte, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	f := strings.Fields(head)
	if len(f) != 3 || f[1] != "blob" {
		return nil, fmt.Errorf("git says %q", strings.TrimSpace(head))
	}
	size, err := strconv.Atoi(f[2])
	if err != nil || size < 0 || size > maxFile {
		return nil, fmt.Errorf("git says %q", strings.TrimSpace(head))
	}
	b := make([]byte, size+1)
	_, err = io.ReadFull(r, b)
	return b[:size], err
}

// put writes one file. A link that would lead out of the folder is left out.
func put(root *os.Root, f file, text []byte) error {
	if err := root.MkdirAll(path.Dir(f.name), 0o700); err != nil {
		return err
	}
	if !f.link {
		return root.WriteFile(f.name, text, 0o600)
	}
	to := string(text)
	if path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(f.name), to)) {
		return nil
	}
	if err := root.Symlink(to, f.name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
