// Package snapshot keeps what environments of a project were: their records and
// the files of their writable layers, by name, as an OCI image layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
//
//	<project>/.blast/snapshots.oci/
//	  oci-layout, index.json    names → manifests
//	  blobs/sha256/<hex>        manifests, records, layers; whatever is read is compared with its name
//	  turn                      who has it may change index.json and remove blobs
//	  lock                      shared by those who make a snapshot: the folder stays
//
// Readers take no lock. What is made has no name until it is whole, so a process
// that dies leaves nothing. No file holds a time: the same content is the same
// digest, and a snapshot is as old as the file of its manifest.
package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"blast.example/blast/state"
)

// A Store holds the snapshots of one project. Close it.
type Store struct {
	root *os.Root
	path string
}

// A Snapshot is one that a store has.
type Snapshot struct {
	Name   string
	Digest digest.Digest // of its manifest: the same content has the same
	Made   time.Time     // when it came into this store
	Size   int64         // bytes of its manifest, record and layer as they are stored
	Record v1.Descriptor
	Layer  Layer
}

// ErrNone means that there is no snapshot of a name.
var ErrNone = errors.New("no such snapshot")

// Open opens the store of a project to read it. Where nothing was ever saved the
// error is fs.ErrNotExist. The project must be absolute and free of symlinks.
func Open(project string) (*Store, error) {
	root, err := os.OpenRoot(project)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	path := state.SnapshotsDir(project)
	for _, name := range []string{filepath.Base(filepath.Dir(path)), filepath.Base(path)} {
		inner, err := enter(root, name)
		_ = root.Close()
		if err != nil {
			return nil, fmt.Errorf("open snapshots: %w", err)
		}
		root = inner
	}
	return &Store{root, path}, nil
}

// enter opens a folder that must be this user's alone. The project around it
// belongs to a person, who may put anything in its place at any moment: what
// counts is what was opened.
func enter(root *os.Root, name string) (*os.Root, error) {
	fi, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", filepath.Join(root.Name(), name))
	}
	inner, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if fi, err = inner.Stat("."); err == nil {
		err = ours(inner.Name(), fi)
	}
	if err != nil {
		_ = inner.Close()
		return nil, err
	}
	return inner, nil
}

// ours refuses what somebody else could have written: it is carried out with
// this user's rights.
func ours(name string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may have been written by somebody else than uid %d", name, os.Geteuid())
	}
	return nil
}

// create opens the store and makes it if there is none.
func create(project string) (*Store, error) {
	path := state.SnapshotsDir(project)
	for _, dir := range []string{filepath.Dir(path), path} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make store of snapshots: %w", err)
		}
	}
	return Open(project)
}

// Close frees what the store has open.
func (s *Store) Close() error { return s.root.Close() }

// Find returns the snapshot of a name; the error is ErrNone if there is none.
func (s *Store) Find(name string) (Snapshot, error) {
	all, err := s.index()
	if err != nil {
		return Snapshot{}, err
	}
	for _, d := range all.Manifests {
		if d.Annotations[v1.AnnotationRefName] == name {
			return s.snapshot(d)
		}
	}
	return Snapshot{}, fmt.Errorf("%w: %q; %s", ErrNone, name, thereAre(all))
}

func thereAre(all v1.Index) string {
	names := make([]string, 0, len(all.Manifests))
	for _, d := range all.Manifests {
		names = append(names, d.Annotations[v1.AnnotationRefName])
	}
	if len(names) == 0 {
		return "none was saved in this project"
	}
	return "there are: " + strings.Join(names, ", ")
}

// List returns all snapshots by name, and what is wrong with those that can't be
// read.
func (s *Store) List() ([]Snapshot, error) {
	all, err := s.index()
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	var errs []error
	for _, d := range all.Manifests {
		one, err := s.snapshot(d)
		if err != nil {
			errs = append(errs, fmt.Errorf("snapshot %s: %w", d.Annotations[v1.AnnotationRefName], err))
			continue
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Snapshot) int { return cmp.Compare(a.Name, b.Name) })
	return out, errors.Join(errs...)
}

// snapshot reads a manifest of the index.
func (s *Store) snapshot(d v1.Descriptor) (Snapshot, error) {
	m, err := s.manifest(d)
	if err != nil {
		return Snapshot{}, err
	}
	fi, err := s.root.Stat(blobPath(d.Digest))
	if err != nil {
		return Snapshot{}, err
	}
	l, err := layerOf(m.Layers[0])
	if err != nil {
		return Snapshot{}, &DamagedError{d.Digest, err}
	}
	return Snapshot{
		Name: d.Annotations[v1.AnnotationRefName], Digest: d.Digest, Made: fi.ModTime(),
		Size: d.Size + m.Config.Size + m.Layers[0].Size, Record: m.Config, Layer: l,
	}, nil
}

// manifest reads and checks what a descriptor of the index points to.
func (s *Store) manifest(d v1.Descriptor) (v1.Manifest, error) {
	b, err := s.blob(d, maxManifest)
	if err != nil {
		return v1.Manifest{}, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return v1.Manifest{}, &DamagedError{d.Digest, err}
	}
	return m, nil
}

// index reads index.json.
func (s *Store) index() (v1.Index, error) {
	b, err := s.file(v1.ImageIndexFile, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil // nothing was saved yet, or the last one was removed
	}
	if err != nil {
		return v1.Index{}, fmt.Errorf("read snapshots: %w", err)
	}
	all, err := parseIndex(b)
	if err != nil {
		return v1.Index{}, fmt.Errorf("read snapshots: %s is damaged: %w", filepath.Join(s.path, v1.ImageIndexFile), err)
	}
	return all, nil
}

// file reads a small file of the store whole.
func (s *Store) file(name string, most int64) ([]byte, error) {
	f, size, err := s.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if size > most {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, most>>20)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: read %d of %d bytes: %w", name, n, len(b), err)
	}
	return b, nil
}

func (s *Store) openFile(name string) (*os.File, int64, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err == nil {
		err = ours(name, fi)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, fi.Size(), nil
}
