package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

const (
	lockName = "lock"
	turnName = "turn"
)

// Remove removes snapshots, and what no other one has. Without an error all of
// names are gone. It returns the bytes that were freed.
func Remove(project string, names ...string) (freed int64, err error) {
	s, err := Open(project)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %q; %s", ErrNone, names[0], thereAre(newIndex()))
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	if freed, err = s.remove(names); err == nil {
		s.removeEmpty()
	}
	return freed, err
}

func (s *Store) remove(names []string) (freed int64, err error) {
	turn, err := s.flock(turnName, unix.LOCK_EX)
	if err != nil {
		return 0, fmt.Errorf("remove snapshot: %w", err)
	}
	defer unlock(turn)
	all, err := s.index()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if !slices.ContainsFunc(all.Manifests, named(name)) {
			return 0, fmt.Errorf("%w: %q; %s", ErrNone, name, thereAre(all))
		}
	}
	all.Manifests = slices.DeleteFunc(all.Manifests, func(d v1.Descriptor) bool {
		return slices.Contains(names, d.Annotations[v1.AnnotationRefName])
	})
	if err := s.replaceIndex(all); err != nil {
		return 0, fmt.Errorf("remove snapshot: %w", err)
	}
	return s.sweep(all)
}

// sweep removes the blobs that no snapshot has. Who has the turn may do that: what
// is being made has no name yet. While a manifest can't be read, nobody can tell
// what its blobs are.
func (s *Store) sweep(all v1.Index) (freed int64, err error) {
	used := map[string]bool{}
	for _, d := range all.Manifests {
		m, err := s.manifest(d)
		if err != nil {
			return 0, fmt.Errorf("the snapshot is removed, but not its files, as others can't be read: %w", err)
		}
		for _, u := range []digest.Digest{d.Digest, m.Config.Digest, m.Layers[0].Digest} {
			used[u.Encoded()] = true
		}
	}
	dir, err := s.root.Open(blobsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("remove blobs: %w", err)
	}
	defer func() { _ = dir.Close() }()
	es, err := dir.ReadDir(-1)
	if err != nil {
		return 0, fmt.Errorf("remove blobs: %w", err)
	}
	for _, e := range es {
		if used[e.Name()] || e.IsDir() {
			continue
		}
		if fi, err := e.Info(); err == nil {
			freed += fi.Size()
		}
		if err := s.root.Remove(blobsDir + "/" + e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return freed, fmt.Errorf("remove blob: %w", err)
		}
	}
	return freed, nil
}

// removeEmpty removes the store if it holds nothing and nobody is at work. Folders
// stay if somebody put something into them.
func (s *Store) removeEmpty() {
	lock, err := s.flock(lockName, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return
	}
	defer unlock(lock)
	all, err := s.index()
	if err != nil || len(all.Manifests) > 0 {
		return
	}
	if _, err := s.sweep(all); err != nil {
		return
	}
	for _, name := range []string{blobsDir, v1.ImageBlobsDir, v1.ImageIndexFile, v1.ImageLayoutFile, newName, turnName, lockName} {
		_ = s.root.Remove(name)
	}
	_ = os.Remove(s.path)
	_ = os.Remove(filepath.Dir(s.path))
}

// errGone is a lock that excludes nobody: the store was removed meanwhile.
var errGone = errors.New("the store was removed meanwhile")

// flock takes a lock of the store (flock(2)), as `how` says.
func (s *Store) flock(name string, how int) (*os.File, error) {
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil && !s.has(f, name) {
		err = errGone
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (s *Store) has(f *os.File, name string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := s.root.Lstat(name)
	return err == nil && os.SameFile(a, b)
}

// unlock unlocks before it closes: a process that is being forked has a copy of
// the descriptor until its execve (flock(2)).
func unlock(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}
