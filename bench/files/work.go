package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// workVerb makes the program do one kind of work, in the sandbox, and print how long that
// took.
const workVerb = "work"

// A kind of work is done n times.
type kind struct {
	name, says string
	n          int
	do         func(n int) error
}

// Sizes of the tree.
const (
	folders    = 200
	perFolder  = 25
	treeFiles  = folders * perFolder
	fileSize   = 4000
	manyOpens  = 20_000
	manyWrites = 5000
)

var works = []kind{
	{"open", "open and close a file, read-only", manyOpens, func(n int) error { return each(n, os.O_RDONLY, nil) }},
	{"write", "open a file, write 10 bytes, close", manyWrites, func(n int) error { return each(n, os.O_WRONLY, tenBytes()) }},
	{"create", "create a file, and delete it", manyWrites, create},
	{"status", "git status of 5 000 files", 1, func(int) error { return git("status", "--porcelain") }},
	{"grep", "read all of a tree of 5 000 files", 1, func(int) error { return read("tree") }},
	{"import", "start Python, and import 20 modules", 5, imports},
	{"large", "write 10 bytes into a file of 100 MB", 1, func(int) error { return poke("large") }},
	{"install", "copy a tree of 5 000 files, and delete it, as pip install and uninstall do", 1, install},
}

// largeSize is that of a file, in bytes.
const largeSize = 100 << 20

// tenBytes are others each time: what is in a layer and as it is in the project is no change.
func tenBytes() []byte { return fmt.Appendf(nil, "%010d", time.Now().UnixNano()%1e10) }

// imports starts Python with modules that lie in the workspace.
func imports(n int) error {
	var code string
	for i := range 20 {
		if err := os.WriteFile(fmt.Sprintf("m%d.py", i), []byte("x = 1\n"), 0o600); err != nil {
			return err
		}
		code += fmt.Sprintf("import m%d\n", i)
	}
	for range n {
		if out, err := exec.Command("python3", "-c", code).CombinedOutput(); err != nil { //nolint:noctx,gosec // it is short
			return fmt.Errorf("python: %w\n%s", err, out)
		}
	}
	return nil
}

// poke writes a little into a large file.
func poke(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(tenBytes(), largeSize/2); err != nil {
		return err
	}
	return f.Close()
}

func work(name string) {
	for _, k := range works {
		if k.name != name {
			continue
		}
		begun := time.Now()
		if err := k.do(k.n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(time.Since(begun))
		return
	}
	os.Exit(64)
}

// each opens files of the tree, one after the other.
func each(n, flags int, content []byte) error {
	for i := range n {
		f, err := os.OpenFile(fileOf(i%treeFiles), flags, 0)
		if err != nil {
			return err
		}
		if content != nil {
			if _, err := f.Write(content); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func fileOf(i int) string {
	return filepath.Join("tree", fmt.Sprint(i/perFolder), fmt.Sprint(i%perFolder))
}

func create(n int) error {
	for i := range n {
		name := fmt.Sprint("new-", i)
		f, err := os.Create(name) //nolint:gosec // a name of our own
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

func git(args ...string) error {
	return exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...).Run() //nolint:noctx,gosec // it is short
}

func read(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			return err
		}
		return f.Close()
	})
}

// grow makes a tree.
func grow(dir string) error {
	content := make([]byte, fileSize)
	for i := range treeFiles {
		p := filepath.Join(dir, fmt.Sprint(i/perFolder), fmt.Sprint(i%perFolder))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, content, 0o644); err != nil { //nolint:gosec // the sandbox reads it
			return err
		}
	}
	return nil
}

func install(int) error {
	if err := grow("installed"); err != nil {
		return err
	}
	return os.RemoveAll("installed")
}
