package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"blast.example/blast/plan"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot/layer"
)

func do(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func record(n uint64) Record {
	return Record{Version: Version, Blast: "test", Environment: "default", Lineage: "l", Serial: n, Objects: []plan.Object{plan.NewObject("a.b", n, nil)}}
}

// folder makes what is saved.
func folder(t testing.TB, text string) *os.File {
	t.Helper()
	dir := t.TempDir()
	do(t, os.Mkdir(filepath.Join(dir, "home"), 0o755), os.WriteFile(filepath.Join(dir, "home/file"), []byte(text), 0o644))
	for _, name := range []string{"home/file", "home"} { // the same files have the same times
		do(t, os.Chtimes(filepath.Join(dir, name), born, born))
	}
	f, err := os.Open(dir)
	do(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

var born = time.Unix(1_000_000_000, 0)

func save(t testing.TB, project, name, text string, n uint64, replace bool) (Snapshot, error) {
	t.Helper()
	w, err := Write(project)
	if err != nil {
		return Snapshot{}, err
	}
	defer func() { _ = w.Close() }()
	d, err := w.Draft()
	if err != nil {
		return Snapshot{}, err
	}
	defer func() { _ = d.Close() }()
	from := folder(t, text)
	l, _, err := d.Pack(func(out io.Writer) (layer.Stats, error) { return layer.Pack(t.Context(), from, out, nil) })
	if err != nil {
		return Snapshot{}, err
	}
	return w.Put(name, record(n), d, l, replace)
}

func saved(t testing.TB, project, name, text string, n uint64) Snapshot {
	t.Helper()
	one, err := save(t, project, name, text, n, false)
	do(t, err)
	return one
}

func opened(t testing.TB, project string) *Store {
	t.Helper()
	s, err := Open(project)
	do(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// unpacked is what the file in a snapshot's layer says.
func unpacked(t testing.TB, s *Store, one Snapshot) (string, error) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.Open(dir)
	do(t, err)
	defer func() { _ = root.Close() }()
	err = s.Read(t.Context(), one.Layer, nil, func(ctx context.Context, src layer.Source) (layer.Stats, error) {
		return layer.Unpack(ctx, src, root, layer.Owner{UID: os.Geteuid(), GID: os.Getegid()})
	})
	b, _ := os.ReadFile(filepath.Join(dir, "home/file"))
	return string(b), err
}

// blobs are the files in the store, but for those that are there for locking.
func blobs(t testing.TB, project string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(state.SnapshotsDir(project), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.Contains(path, "/blobs/") {
			out = append(out, d.Name())
		}
		return err
	})
	do(t, err)
	return out
}

func TestSaveFindList(t *testing.T) {
	p := t.TempDir()
	if _, err := Open(p); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	a := saved(t, p, "a", "one", 1)
	b := saved(t, p, "b", "two", 2)
	s := opened(t, p)
	for _, want := range []Snapshot{a, b} {
		got, err := s.Find(want.Name)
		do(t, err)
		if got.Digest != want.Digest || got.Layer != want.Layer || got.Size < 300 || got.Made.IsZero() {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if _, err := s.Find("c"); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "there are: a, b") {
		t.Error(err)
	}
	r, err := s.Record(b)
	do(t, err)
	if r.Serial != 2 || len(r.Objects) != 1 || string(r.Objects[0].Attrs) != "2" {
		t.Errorf("%+v", r)
	}
	if text, err := unpacked(t, s, a); err != nil || text != "one" {
		t.Error(text, err)
	}
	if l, err := s.Layer(b.Layer.Blob); err != nil || l != b.Layer {
		t.Error(l, err)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Name != "a" {
		t.Error(all, err)
	}
}

// The same content is the same digest; another one under that name takes a word.
func TestSameContentSameDigest(t *testing.T) {
	p, q := t.TempDir(), t.TempDir()
	a := saved(t, p, "a", "one", 1)
	if b := saved(t, q, "b", "one", 1); b.Digest != a.Digest {
		t.Error("another digest in another project")
	}
	if again := saved(t, p, "a", "one", 1); again.Digest != a.Digest {
		t.Error("another digest")
	}
	saved(t, p, "same", "one", 1)
	if n := len(blobs(t, p)); n != 3 {
		t.Errorf("%d blobs", n)
	}
	if _, err := save(t, p, "a", "other", 1, false); !errors.Is(err, ErrThere) {
		t.Error(err)
	}
	if n := len(blobs(t, p)); n != 3 {
		t.Errorf("%d blobs after a refusal", n)
	}
	b, err := save(t, p, "a", "other", 1, true)
	do(t, err)
	if text, err := unpacked(t, opened(t, p), b); err != nil || text != "other" || b.Digest == a.Digest {
		t.Error(text, err)
	}
	for _, bad := range []string{"", "-a", "a b", "a/b", "../x", "a.tar", strings.Repeat("x", 129)} {
		if _, err := save(t, p, bad, "x", 1, false); err == nil {
			t.Errorf("saved as %q", bad)
		}
	}
}

func TestRemove(t *testing.T) {
	p := t.TempDir()
	saved(t, p, "a", "one", 1)
	saved(t, p, "b", "one", 2) // the same layer
	c := saved(t, p, "c", "two", 2)
	if _, err := Remove(p, "a", "nope"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if n := len(blobs(t, p)); n != 7 {
		t.Errorf("%d blobs", n)
	}
	freed, err := Remove(p, "a")
	if err != nil || freed == 0 || len(blobs(t, p)) != 5 {
		t.Error(freed, err, blobs(t, p))
	}
	s := opened(t, p)
	if text, err := unpacked(t, s, c); err != nil || text != "two" {
		t.Error(text, err)
	}
	blob, err := s.Open(c.Layer.Blob) // who reads it, reads on
	do(t, err)
	if _, err := Remove(p, "b", "c"); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(blob); err != nil || int64(len(b)) != c.Layer.Size {
		t.Error(len(b), err)
	}
	do(t, blob.Close())
	if _, err := os.Lstat(filepath.Join(p, ".blast")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty store is left: %v", err)
	}
	if _, err := Remove(p, "b"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

// What a process that died left is swept by the next one that has the turn, and what
// nobody ever put anything into goes.
func TestOrphansAreSwept(t *testing.T) {
	p := t.TempDir()
	w, err := Write(p)
	do(t, err)
	d, err := w.Draft()
	do(t, err)
	_, err = d.Write([]byte("lost"))
	do(t, err, w.layout(), w.publish(d)) // and here it dies
	do(t, os.WriteFile(filepath.Join(state.SnapshotsDir(p), newName), nil, 0o600), os.WriteFile(filepath.Join(state.SnapshotsDir(p), blobsDir, newName), nil, 0o600))
	if len(blobs(t, p)) != 2 {
		t.Fatal("nothing to sweep")
	}
	do(t, d.Close())
	unlock(w.lock)
	saved(t, p, "a", "one", 1)
	if n := len(blobs(t, p)); n != 3 {
		t.Errorf("%d blobs", n)
	}
	if _, err := Remove(p, "a"); err != nil {
		t.Error(err)
	}
	w, err = Write(p)
	do(t, err, w.Close())
	if _, err := os.Lstat(filepath.Join(p, ".blast")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// A store that others could have written, or a link in its place, is none.
func TestStoreIsOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	for name, act := range map[string]func(p string) error{
		"link": func(p string) error {
			return errors.Join(os.Rename(state.SnapshotsDir(p), filepath.Join(p, "x")), os.Symlink("../x", state.SnapshotsDir(p)))
		},
		"link above": func(p string) error {
			return errors.Join(os.Rename(filepath.Join(p, ".blast"), filepath.Join(p, "x")), os.Symlink("x", filepath.Join(p, ".blast")))
		},
		"folder of another":     func(p string) error { return os.Chown(state.SnapshotsDir(p), 1000, 1000) },
		"folder above":          func(p string) error { return os.Chown(filepath.Join(p, ".blast"), 1000, 1000) },
		"folder that all write": func(p string) error { return os.Chmod(state.SnapshotsDir(p), 0o777) },
		"index of another":      func(p string) error { return os.Chown(filepath.Join(state.SnapshotsDir(p), "index.json"), 1000, 1000) },
		"index is a pipe": func(p string) error {
			index := filepath.Join(state.SnapshotsDir(p), "index.json")
			return errors.Join(os.Remove(index), syscall.Mkfifo(index, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := t.TempDir()
			saved(t, p, "a", "one", 1)
			do(t, act(p))
			s, err := Open(p)
			if err == nil {
				_, err = s.List()
				_ = s.Close()
			}
			if err == nil {
				t.Error("read")
			}
			if _, err := save(t, p, "b", "two", 1, false); err == nil {
				t.Error("written")
			}
			if _, err := Remove(p, "a"); err == nil {
				t.Error("removed")
			}
		})
	}
}

// Each byte is compared with its name when it is read, and an error names the way out.
func TestDamageIsSeen(t *testing.T) {
	for _, which := range []string{"manifest", "record", "layer"} {
		for how, act := range map[string]func(b []byte) []byte{
			"changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"shorter": func(b []byte) []byte { return b[:len(b)-1] },
			"longer":  func(b []byte) []byte { return append(b, 'x') },
			"empty":   func([]byte) []byte { return nil },
		} {
			t.Run(which+" "+how, func(t *testing.T) {
				p := t.TempDir()
				a, other := saved(t, p, "a", "one", 1), saved(t, p, "b", "two", 2)
				d := map[string]string{"manifest": a.Digest.Encoded(), "record": a.Record.Digest.Encoded(), "layer": a.Layer.Blob.Encoded()}[which]
				path := filepath.Join(state.SnapshotsDir(p), blobsDir, d)
				b, err := os.ReadFile(path)
				do(t, err, os.WriteFile(path, act(b), 0o600))
				s := opened(t, p)
				_, err1 := s.Find("a")
				_, err2 := s.Record(a)
				_, err3 := unpacked(t, s, a)
				if got := map[string]error{"manifest": err1, "record": err2, "layer": err3}[which]; got == nil {
					t.Error("not seen")
				}
				if text, err := unpacked(t, s, other); err != nil || text != "two" {
					t.Errorf("the other one: %q %v", text, err)
				}
				if all, err := s.List(); which == "manifest" && (len(all) != 1 || err == nil) {
					t.Errorf("%v %v", all, err)
				}
				saved(t, p, "a", "one", 1) // saving it again mends it
				if text, err := unpacked(t, s, a); err != nil || text != "one" {
					t.Errorf("saved again: %q %v", text, err)
				}
				if _, err := Remove(p, "a"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Any OCI tool can read the store.
func TestLayout(t *testing.T) {
	p := t.TempDir()
	a := saved(t, p, "a", "one", 1)
	dir := state.SnapshotsDir(p)
	var layout v1.ImageLayout
	var index v1.Index
	var m v1.Manifest
	for name, v := range map[string]any{"oci-layout": &layout, "index.json": &index, blobPath(a.Digest): &m} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		do(t, err, json.Unmarshal(b, v))
		if strings.Contains(string(b), "20") && strings.Contains(string(b), "T0") {
			t.Errorf("%s holds a time: %s", name, b)
		}
	}
	if layout.Version != "1.0.0" || len(index.Manifests) != 1 || index.Manifests[0].Annotations[v1.AnnotationRefName] != "a" || len(m.Layers) != 1 {
		t.Errorf("%+v %+v %+v", layout, index, m)
	}
	fi, err := os.Stat(dir)
	do(t, err)
	if fi.Mode().Perm() != 0o700 {
		t.Errorf("others can read it: %v", fi.Mode())
	}
}
