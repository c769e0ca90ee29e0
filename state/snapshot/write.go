package snapshot

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// ErrThere means that a name is taken by another snapshot.
var ErrThere = errors.New("there is a snapshot of that name")

// A Writer makes snapshots in a store, which stays as long as there is one. Close
// it.
type Writer struct {
	*Store
	lock *os.File
}

// Write opens the store of a project to put snapshots into it, and makes it if there is
// none.
func Write(project string) (*Writer, error) {
	for {
		s, err := create(project)
		if err != nil {
			return nil, err
		}
		f, err := s.flock(lockName, unix.LOCK_SH)
		if err == nil {
			return &Writer{s, f}, nil
		}
		_ = s.Close()
		if !errors.Is(err, errGone) {
			return nil, &fs.PathError{Op: "lock", Path: s.path, Err: err}
		}
	}
}

// Close gives the lock back. A store that holds nothing then is removed.
func (w *Writer) Close() error {
	unlock(w.lock)
	w.removeEmpty()
	return w.Store.Close()
}

// A Draft is a blob that is being written. It has no name: if this process dies,
// the kernel frees it (open(2), O_TMPFILE).
type Draft struct {
	f    *os.File
	dir  string // where it is, as a person finds it
	sum  hash.Hash
	size int64
}

// Draft begins a blob. Close it.
func (w *Writer) Draft() (*Draft, error) {
	dir, err := w.root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, unwritten(w.path, err)
	}
	defer func() { _ = dir.Close() }()
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("write a blob: the file system of %s has no files without a name (open(2), O_TMPFILE); ext4, xfs, btrfs and tmpfs do", w.path)
	}
	if err != nil {
		return nil, unwritten(w.path, err)
	}
	return &Draft{f: os.NewFile(uintptr(fd), "blob"), dir: w.path, sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (d *Draft) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	d.sum.Write(p[:n])
	d.size += int64(n)
	if err != nil {
		return n, unwritten(d.dir, err)
	}
	return n, nil
}

// unwritten names the folder of a blob, which has no name itself.
func unwritten(dir string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return &fs.PathError{Op: "write a blob in", Path: dir, Err: err}
}

// Digest is that of what was written so far, and Size its bytes.
func (d *Draft) Digest() digest.Digest { return digest.NewDigest(digest.SHA256, d.sum) }

// Size is how many bytes were written so far.
func (d *Draft) Size() int64 { return d.size }

// Reader reads what was written from its beginning.
func (d *Draft) Reader() io.Reader { return io.NewSectionReader(d.f, 0, d.size) }

// Close drops the draft, unless it was put into the store.
func (d *Draft) Close() error { return d.f.Close() }

// Put stores a record with its layer under a name, whole or not at all. If the name is taken
// by another content it is replaced, or the error is ErrThere. The draft must hold
// the layer's blob.
func (w *Writer) Put(name string, r Record, draft *Draft, l Layer, replace bool) (Snapshot, error) {
	record, err := encodeRecord(r)
	if err != nil {
		return Snapshot{}, err
	}
	l.Blob, l.Size = draft.Digest(), draft.Size()
	manifest, err := newManifest(v1.Descriptor{MediaType: RecordType, Digest: digest.FromBytes(record), Size: int64(len(record))}, l)
	if err == nil {
		_, err = parseManifest(manifest)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("store snapshot: %w", err)
	}
	return w.put(name, manifest, record, draft, replace)
}

// put stores three blobs and then names them.
func (w *Writer) put(name string, manifest, record []byte, layer *Draft, replace bool) (Snapshot, error) {
	if err := CheckName(name); err != nil {
		return Snapshot{}, err
	}
	d := v1.Descriptor{
		MediaType: v1.MediaTypeImageManifest, ArtifactType: ArtifactType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
		Annotations: map[string]string{v1.AnnotationRefName: name},
	}
	turn, err := w.flock(turnName, unix.LOCK_EX)
	if err != nil {
		return Snapshot{}, fmt.Errorf("store snapshot in %s: %w", w.path, err)
	}
	defer unlock(turn)
	all, err := w.index()
	if err != nil {
		return Snapshot{}, err
	}
	defer w.sweepNow() // what was replaced, or left by one who died or failed
	if i := slices.IndexFunc(all.Manifests, named(name)); i >= 0 && all.Manifests[i].Digest != d.Digest && !replace {
		return Snapshot{}, fmt.Errorf("%w: %q", ErrThere, name)
	}
	if err := w.layout(); err != nil {
		return Snapshot{}, fmt.Errorf("store snapshot in %s: %w", w.path, err)
	}
	if err := errors.Join(w.publish(layer), w.publishBytes(record), w.publishBytes(manifest)); err != nil {
		return Snapshot{}, fmt.Errorf("store snapshot in %s: %w", w.path, err)
	}
	all.Manifests = append(slices.DeleteFunc(all.Manifests, named(name)), d)
	if err := w.replaceIndex(all); err != nil && !w.lists(d) {
		return Snapshot{}, fmt.Errorf("store snapshot in %s: %w", w.path, err)
	}
	return w.snapshot(d)
}

// lists reports whether the index has a snapshot. A disk that fails right after the
// rename, as the folder is synced, doesn't take back what everybody reads.
func (w *Writer) lists(d v1.Descriptor) bool {
	all, err := w.index()
	return err == nil && slices.ContainsFunc(all.Manifests, func(m v1.Descriptor) bool {
		return m.Digest == d.Digest && m.Annotations[v1.AnnotationRefName] == d.Annotations[v1.AnnotationRefName]
	})
}

func (w *Writer) sweepNow() {
	if all, err := w.index(); err == nil {
		_, _ = w.sweep(all)
	}
}

func named(name string) func(v1.Descriptor) bool {
	return func(d v1.Descriptor) bool { return d.Annotations[v1.AnnotationRefName] == name }
}

// layout makes what an OCI image layout has beside its blobs.
func (w *Writer) layout() error {
	if err := w.root.MkdirAll(blobsDir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if have, err := w.file(v1.ImageLayoutFile, maxIndex); err == nil && bytes.Equal(have, b) {
		return nil
	}
	return w.replace(v1.ImageLayoutFile, b)
}

func (w *Writer) publishBytes(b []byte) error {
	d, err := w.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if _, err := d.Write(b); err != nil {
		return err
	}
	return w.publish(d)
}

// publish gives a draft its name, also where a blob of that name lies already:
// that one may be damaged.
func (w *Writer) publish(d *Draft) error {
	if err := d.f.Sync(); err != nil {
		return err
	}
	dir, err := w.root.OpenFile(blobsDir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := w.root.Remove(blobsDir + "/" + newName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	self := "/proc/self/fd/" + strconv.Itoa(int(d.f.Fd())) // linkat(2)
	if err := unix.Linkat(unix.AT_FDCWD, self, int(dir.Fd()), newName, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &fs.PathError{Op: "linkat", Path: self, Err: err}
	}
	if err := unix.Renameat(int(dir.Fd()), newName, int(dir.Fd()), d.Digest().Encoded()); err != nil {
		return &fs.PathError{Op: "rename", Path: newName, Err: err}
	}
	return dir.Sync()
}

// newName is what is on its way to its name. Who has the turn removes that of one
// who died.
const newName = ".new"

// replaceIndex writes index.json, by name.
func (w *Store) replaceIndex(all v1.Index) error {
	slices.SortFunc(all.Manifests, func(a, b v1.Descriptor) int {
		return cmp.Compare(a.Annotations[v1.AnnotationRefName], b.Annotations[v1.AnnotationRefName])
	})
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return w.replace(v1.ImageIndexFile, b)
}

// replace puts b at name in one step: temporary file, fsync, rename, fsync of the
// folder.
func (w *Store) replace(name string, b []byte) error {
	if err := w.root.Remove(newName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := w.root.OpenFile(newName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = w.root.Rename(newName, name)
	}
	if err != nil {
		_ = w.root.Remove(newName)
		return err
	}
	return w.syncRoot()
}

func (w *Store) syncRoot() error {
	d, err := w.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
