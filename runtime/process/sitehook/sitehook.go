// Package sitehook is Blast's own hook in the Pythons of a sandbox, by which a refusal is
// explained in the traceback of the program that met it, and Blast learns which line of
// the program that was. See src, and package where for the other end.
//
// It is found by PYTHONPATH, in front of a person's own, lies where nobody inside can
// write, and gives way to a sitecustomize of the person's. It guards nothing: a program
// may switch it off, and what it says about itself is only said.
package sitehook

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/state"
)

//go:embed src/*.py
var sources embed.FS

// folder is its place among what the sandbox sees.
const folder = "python"

// Variable is the one of a command that leads Python to the hook; see python(1).
const Variable = "PYTHONPATH"

// Lead is what Variable has to be, where it would be this without the hook.
func Lead(without string) string {
	dir := path.Join(inside.Dir, folder)
	if without == "" {
		return dir
	}
	return dir + ":" + without
}

// Install puts the hook where the environment's sandbox finds it, and returns the folder
// that the sandbox is to see. One that is there already stays as it is: another sandbox of
// the environment uses it, and goes on with it if this change is taken back in the middle.
func Install(ctx context.Context, env state.Env) (string, error) {
	names, err := fs.Glob(sources, "src/*.py")
	if err != nil {
		return "", err
	}
	whole := true
	for _, name := range names {
		b, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		if installed(inside.Path(env, folder), path.Base(name), b) {
			continue
		}
		whole = false
		if err := inside.Write(env, path.Join(folder, path.Base(name)), b); err != nil {
			return "", fmt.Errorf("install the hook in Python: %w", err)
		}
	}
	if !whole {
		compile(ctx, inside.Path(env, folder))
	}
	return inside.Make(env)
}

// installed reports whether a file of the hook is there, and compiled after it was written.
func installed(dir, name string, want []byte) bool {
	is, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Equal(is, want) {
		return false
	}
	compiled, _ := filepath.Glob(filepath.Join(dir, cacheDir, strings.TrimSuffix(name, ".py")+".*.pyc")) // only a bad pattern is an error
	source, err := os.Stat(filepath.Join(dir, name))
	if err != nil || len(compiled) != 1 {
		return false
	}
	of, err := os.Stat(compiled[0])
	return err == nil && !of.ModTime().Before(source.ModTime())
}

// Where the sandbox, too, has the host's Python, and how long it may take to compile.
const (
	interpreter   = "/usr/bin/python3"
	compileWithin = 5 * time.Second
)

// program compiles what the sandbox will import; it is to look as if that were done there.
const program = "import os, py_compile, sys\n" +
	"for f in sys.argv[2:]: py_compile.compile(f, dfile=os.path.join(sys.argv[1], os.path.basename(f)), doraise=True)\n"

// compile spares each Python that starts some two milliseconds: nothing in the sandbox can
// keep what it compiles there. Another Python than the host's usual one does without.
func compile(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(ctx, compileWithin)
	defer cancel()
	names, err := filepath.Glob(filepath.Join(dir, "*.py"))
	if err != nil {
		return
	}
	cmd := exec.CommandContext(ctx, interpreter, append([]string{"-I", "-S", "-c", program, path.Join(inside.Dir, folder)}, names...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of this thread: it must not write when somebody else removes
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if cmd.Run() != nil {
		_ = os.RemoveAll(filepath.Join(dir, cacheDir))
		return
	}
	share(filepath.Join(dir, cacheDir))
}

const cacheDir = "__pycache__"

// share lets everybody in the sandbox read the compiled files, whatever the umask.
func share(dir string) {
	_ = os.Chmod(dir, 0o755)                               //nolint:gosec // the sandbox's user is another one
	names, _ := filepath.Glob(filepath.Join(dir, "*.pyc")) // only a bad pattern is an error
	for _, name := range names {
		_ = os.Chmod(name, 0o644) //nolint:gosec // likewise; who can't read it compiles
	}
}

// Remove removes it, and the folder that is shown if nothing else is in it.
func Remove(env state.Env) error { return inside.Remove(env, folder) }
