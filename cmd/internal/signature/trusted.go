package signature

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadAllowedSigners reads a list from a file. It decides what is carried out, so
// nobody but root, this user and the person (a uid) may be able to change it, be it by a
// folder or a link on the way, as sshd wants it of authorized_keys (StrictModes). Nor
// may it lie in a folder that a sandbox writes to, where the person is anybody.
func ReadAllowedSigners(path string, person int, sandboxed ...string) (AllowedSigners, error) {
	t := trust{owners: []uint32{0, uint32(os.Geteuid()), uint32(person)}}
	for _, dir := range sandboxed {
		if fi, err := os.Stat(dir); err == nil {
			t.sandboxed = append(t.sandboxed, fi)
		}
	}
	b, err := t.read(path)
	if err != nil {
		return AllowedSigners{}, fmt.Errorf("read allowed signers: %w", err)
	}
	a, err := ParseAllowedSigners(b)
	if err != nil {
		return AllowedSigners{}, fmt.Errorf("read allowed signers: %s, %w", path, err)
	}
	return a, nil
}

// trust goes to a file step by step, and looks at each step on its descriptor.
type trust struct {
	owners    []uint32
	sandboxed []fs.FileInfo
}

const maxSteps = 1000 // links in a ring have no end

func (t trust) read(path string) ([]byte, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := t.walk(abs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	got, err := readFile(f, maxAllowed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return got.content, nil
}

// walk opens what an absolute path leads to, or says which step others could change.
func (t trust) walk(path string) (*os.File, error) {
	at, err := t.step(nil, "/")
	todo := steps(path)
	for n := 0; err == nil && len(todo) > 0; n++ {
		if at, todo, err = t.advance(at, todo); n > maxSteps {
			err = &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
		}
	}
	defer func() { _ = at.Close() }()
	if err != nil {
		return nil, err
	}
	// What was looked at, and nothing that came in its place.
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", at.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// advance goes one step on, or puts what a link says in place of its name. It
// closes the folder that it leaves.
func (t trust) advance(at *os.File, todo []string) (*os.File, []string, error) {
	next, err := t.step(at, todo[0])
	if err != nil {
		return at, nil, err
	}
	target, isLink := linkTarget(next)
	if !isLink {
		_ = at.Close()
		return next, todo[1:], nil
	}
	_ = next.Close()
	todo = append(steps(target), todo[1:]...)
	if strings.HasPrefix(target, "/") {
		_ = at.Close()
		at, err = t.step(nil, "/")
	}
	return at, todo, err
}

func steps(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

func linkTarget(f *os.File) (string, bool) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	return string(buf[:max(n, 0)]), err == nil
}

// step opens name in a folder without following it, and looks at who may change it.
func (t trust) step(folder *os.File, name string) (*os.File, error) {
	at, shown := unix.AT_FDCWD, name
	if folder != nil {
		at, shown = int(folder.Fd()), filepath.Join(folder.Name(), name)
	}
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: shown, Err: err}
	}
	f := os.NewFile(uintptr(fd), shown)
	if err := t.check(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (t trust) check(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	link := fi.Mode()&fs.ModeSymlink != 0
	switch {
	case !ok || !slices.Contains(t.owners, st.Uid):
		return fmt.Errorf("%s belongs to somebody else, who could change who may sign", f.Name())
	case !link && fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("others may write to %s, and so change who may sign: `chmod go-w %s`", f.Name(), f.Name())
	case slices.ContainsFunc(t.sandboxed, func(s fs.FileInfo) bool { return os.SameFile(s, fi) }):
		return fmt.Errorf("it lies in %s, where code in the sandbox may change who may sign: keep it elsewhere", f.Name())
	}
	return nil
}
