//go:build linux

package generation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/wheel"
)

// manifestName is the file that says what a generation was made of.
const manifestName = ".blast.json"

// manifestFormat is the version of the file's format. Another one is not read: such
// a generation is made anew.
const manifestFormat = 1

// maxManifest bounds the file, in bytes: 100 000 files need some 15 MB.
const maxManifest = 256 << 20

// A manifest lists all that a generation holds, but itself. It is apart from the
// cache's own, as the cache may be emptied at any time.
type manifest struct {
	Format int               `json:"format"`
	Attrs  json.RawMessage   `json:"attrs"` // of packages.set
	Files  []file            `json:"files"` // sorted by path
	Links  map[string]string `json:"links"` // path → where it leads
}

// A file is one regular file, relative to the generation.
type file struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"` // bytes
	Executable bool   `json:"executable,omitempty"`
}

func (f file) mode() fs.FileMode { return wheel.File{Executable: f.Executable}.Mode() }

// encode keeps the attributes byte by byte: their digest is the folder's name.
func (m manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(m)
	return b.Bytes(), err
}

// errNoGeneration says that there is no generation of that name that can be
// understood.
var errNoGeneration = errors.New("no such generation")

// manifest reads what generation id was made of. One that is not what its name
// says is none.
func (f *folder) manifest(id string) (manifest, error) {
	var m manifest
	b, err := readRegular(f.root, path.Join(id, manifestName), maxManifest)
	if err != nil {
		return m, fmt.Errorf("%w: %w", errNoGeneration, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%w: %w", errNoGeneration, err)
	}
	if m.Format != manifestFormat || plan.Digest(m.Attrs) != id {
		return m, fmt.Errorf("%w: %s is another one's", errNoGeneration, manifestName)
	}
	return m, nil
}

// set reads the attributes.
func (m manifest) set() (packages.Set, error) {
	var s packages.Set
	err := json.Unmarshal(m.Attrs, &s)
	return s, err
}

// readRegular reads a regular file of at most so many bytes. It never waits, as
// opening a pipe does.
func readRegular(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d MiB", name, most>>20)
	}
	return b, err
}

var errNotRegular = errors.New("not a regular file")
