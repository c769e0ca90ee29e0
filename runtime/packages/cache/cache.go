// Package cache keeps wheels, unpacked, by the SHA-256 of the file that they
// came in. Entries never change: environments hard-link their files.
//
//	<dir>/wheels/<sha256>-<target>/installed.json   what is in tree, with hashes
//	                              /tree/            as in a virtual environment
//	<dir>/tmp/<random>/                             entries being made, locked
//
// An entry is made in tmp and gets its place in one rename, so it is there
// whole or not at all, and whoever makes the same at the same time doesn't
// matter. One that was damaged since is noticed before it is used, and replaced.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"blast.example/blast/runtime/packages/wheel"
)

// format is part of the name of each entry: when what an entry looks like
// changes, old ones are no longer found.
const format = "2"

// maxManifest bounds installed.json.
const maxManifest = 256 << 20

// Names in the cache and in an entry.
const (
	wheelsDir    = "wheels"
	tmpDir       = "tmp"
	manifestName = "installed.json"
	treeDir      = "tree"
)

// ErrDamaged is wrapped by errors about an entry that is not as it was made.
var ErrDamaged = errors.New("cache entry is damaged")

// A Cache is a folder of unpacked wheels. Any number of processes may use it.
type Cache struct{ dir string }

// New returns the cache in a folder, which is made when something is stored.
func New(dir string) *Cache { return &Cache{dir} }

// An Entry is one unpacked wheel.
type Entry struct {
	Tree string // absolute path of a folder that looks like a virtual environment
	wheel.Installed
}

// Find returns the entry of the wheel with that hash; ok is false if there is
// none or if it was changed since. It looks at every file's size, mode, owner
// and time, but not at the content: see Verify.
func (c *Cache) Find(sha256 string, t wheel.Target) (e Entry, ok bool, err error) {
	e, err = c.load(sha256, t)
	if err == nil {
		err = e.check()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		return Entry{}, false, nil
	}
	return e, err == nil, err
}

// Verify reads every file of the entry and compares it with its hash.
func (c *Cache) Verify(sha256 string, t wheel.Target) error {
	e, err := c.load(sha256, t)
	if err == nil {
		err = e.check()
	}
	if err == nil {
		err = e.verify()
	}
	return err
}

func (c *Cache) place(sha256 string, t wheel.Target) string {
	return filepath.Join(c.dir, wheelsDir, sha256+"-"+targetID(t))
}

// targetID tells targets apart: scripts name the interpreter, and folders the
// version of Python.
func targetID(t wheel.Target) string {
	sum := sha256.Sum256([]byte(format + "\x00" + t.Python + "\x00" + t.Interpreter))
	return "py" + t.Python + "-" + hex.EncodeToString(sum[:4])
}

func (c *Cache) load(sha256 string, t wheel.Target) (Entry, error) {
	if !isSHA256(sha256) {
		return Entry{}, fmt.Errorf("%q is no SHA-256", sha256)
	}
	return loadEntry(c.place(sha256, t))
}

func loadEntry(dir string) (Entry, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return Entry{}, err
	}
	defer func() { _ = f.Close() }()
	e := Entry{Tree: filepath.Join(dir, treeDir)}
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&e.Installed); err != nil {
		return Entry{}, fmt.Errorf("%s: %w: %w", dir, ErrDamaged, err)
	}
	return e, nil
}

// check looks whether each file is there as it was made. Times tell a change in
// place: they are all the same at first. A file system writes a file's blocks
// before its size, so a crash can't leave the right size with other content.
func (e Entry) check() error {
	root, err := os.OpenRoot(e.Tree)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", e.Tree, ErrDamaged, err)
	}
	defer func() { _ = root.Close() }()
	for _, f := range e.Files {
		fi, err := root.Lstat(f.Path)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", e.Tree, ErrDamaged, err)
		}
		if fi.Mode() != f.Mode() || fi.Size() != f.Size || !fi.ModTime().Equal(wheel.Time) || fi.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) { // a user id, and Lstat's own struct on Linux
			return fmt.Errorf("%s: %w: %s was changed", e.Tree, ErrDamaged, f.Path)
		}
	}
	return nil
}

func (e Entry) verify() error {
	root, err := os.OpenRoot(e.Tree)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, f := range e.Files {
		sum, err := hashFile(root, f.Path)
		if err != nil {
			return err
		}
		if sum != f.SHA256 {
			return fmt.Errorf("%s: %w: %s was changed", e.Tree, ErrDamaged, f.Path)
		}
	}
	return nil
}

func hashFile(root *os.Root, path string) (string, error) {
	f, err := root.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}
