// Package local keeps the records of an environment in a folder of the project,
// which only Blast's own user can read.
package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/state/backend"
)

// A Store is a backend.Store in a folder, <project>/.blast/<environment>. Both of
// these are made when they are needed.
type Store struct{ Dir string }

var _ backend.Store = Store{}

// Get implements backend.Store.
func (s Store) Get(name string) ([]byte, backend.Version, error) {
	file, err := s.path(name)
	if err != nil {
		return nil, "", err
	}
	b, err := Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", backend.ErrNotFound
	}
	if err != nil {
		return nil, "", err
	}
	return b, versionOf(b), nil
}

// Put implements backend.Store. The lock is what keeps two processes apart: versions
// are compared and then the file is replaced.
func (s Store) Put(name string, b []byte, was backend.Version) error {
	_, now, err := s.Get(name)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return err
	}
	if now != was {
		return fmt.Errorf("%s: %w", name, backend.ErrConflict)
	}
	if err := s.MakeDirs(); err != nil {
		return err
	}
	file := filepath.Join(s.Dir, filepath.FromSlash(name))
	if dir := filepath.Dir(file); dir != s.Dir {
		if err := s.WithRoom(func() error { return MakeDir(dir) }); err != nil {
			return err
		}
	}
	return s.WithRoom(func() error { return Replace(file, b) })
}

// Delete implements backend.Store.
func (s Store) Delete(name string) error {
	file, err := s.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements backend.Store.
func (s Store) List(folder string) ([]string, error) {
	dir, err := s.path(folder)
	if err != nil {
		return nil, err
	}
	es, err := os.ReadDir(dir) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range es {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, path.Join(folder, e.Name()))
		}
	}
	return out, nil
}

// path is where a record lies. Below a folder of records no link leads elsewhere.
func (s Store) path(name string) (string, error) {
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		return "", fmt.Errorf("%q is no name of a record", name)
	}
	if dir := path.Dir(name); dir != "." {
		fi, err := os.Lstat(filepath.Join(s.Dir, dir))
		if err == nil && !fi.IsDir() {
			return "", fmt.Errorf("%s is not a folder", filepath.Join(s.Dir, dir))
		}
	}
	return filepath.Join(s.Dir, filepath.FromSlash(name)), nil
}

// MakeDirs makes the folder of the environment and the one above it.
func (s Store) MakeDirs() error {
	if err := MakeDir(filepath.Dir(s.Dir)); err != nil {
		return err
	}
	return MakeDir(s.Dir)
}

// Husk reports whether the folders were made and no record in them.
func (s Store) Husk() bool {
	es, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		es, err = os.ReadDir(filepath.Dir(s.Dir))
		return err == nil && len(es) == 0
	}
	return err == nil && !slices.ContainsFunc(es, func(e fs.DirEntry) bool { return e.Name() != lockName && e.Name() != ReserveName })
}

func versionOf(b []byte) backend.Version {
	sum := sha256.Sum256(b)
	return backend.Version(hex.EncodeToString(sum[:]))
}
