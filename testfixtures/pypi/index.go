package pypi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// Index is a package index. Its fields are switches, to be set before serving.
type Index struct {
	HTMLOnly   bool // no JSON, as indexes before PEP 691
	NoMetadata bool // no metadata files, as indexes before PEP 658
	NoRanges   bool // whole files only
	User       string
	Password   string // with User: ask for basic authentication

	mu       sync.Mutex
	files    map[string]*file // by file name
	faults   map[string]*Fault
	requests []Request
}

// Request is one that was answered.
type Request struct {
	Method string
	Path   string
	Accept string
	Range  string
	Status int
	Body   int64 // bytes sent
}

// file is a distribution.
type file struct {
	name           string
	project        string // normalised
	version        pep440.Version
	path           string // on disk, or
	data           []byte // in memory
	size           int64
	sha256         string
	metadata       []byte // nil when it has none
	requiresPython string
	yanked         *string
	uploaded       time.Time
}

// New makes an empty index.
func New() *Index {
	return &Index{files: map[string]*file{}, faults: map[string]*Fault{}}
}

// Open makes an index of the wheels and source distributions in a folder. Other
// files are left alone.
func Open(dir string) (*Index, error) {
	x := New()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read index folder: %w", err)
	}
	for _, e := range entries {
		if !isDistribution(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read distribution: %w", err)
		}
		f, err := newFile(e.Name(), data)
		if err != nil {
			return nil, err
		}
		f.path, f.data = path, nil // served from disk
		x.files[f.name] = f
	}
	return x, nil
}

func isDistribution(name string) bool {
	return strings.HasSuffix(name, ".whl") || strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".zip")
}

// AddFile adds a distribution, or replaces the one of that name.
func (x *Index) AddFile(name string, data []byte) error {
	f, err := newFile(name, data)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.files[name] = f
	return nil
}

// Add packs a wheel and adds it.
func (x *Index) Add(w Wheel) error { return x.AddFile(w.Filename(), w.Bytes()) }

// Yank withdraws a file (PEP 592). reason may be empty.
func (x *Index) Yank(name, reason string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, ok := x.files[name]
	if !ok {
		return fmt.Errorf("yank %s: no such file", name)
	}
	f.yanked = &reason
	return nil
}

// Upload sets when a file was uploaded (PEP 700).
func (x *Index) Upload(name string, at time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, ok := x.files[name]
	if !ok {
		return fmt.Errorf("upload %s: no such file", name)
	}
	f.uploaded = at
	return nil
}

// Requests returns what was asked so far, in order.
func (x *Index) Requests() []Request {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.requests)
}

func newFile(name string, data []byte) (*file, error) {
	sum := sha256.Sum256(data)
	f := &file{name: name, data: data, size: int64(len(data)), sha256: hex.EncodeToString(sum[:]), uploaded: packed}
	if w, err := tags.ParseWheelName(name); err == nil {
		f.project, f.version = w.Name, w.Version
		if f.metadata, err = wheelMetadata(data); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		f.requiresPython = header(f.metadata, "Requires-Python")
		return f, nil
	}
	s, err := tags.ParseSdistName(name)
	if err != nil {
		return nil, fmt.Errorf("neither wheel nor source distribution: %w", err)
	}
	f.project, f.version = s.Name, s.Version
	f.requiresPython = header(sdistMetadata(data), "Requires-Python")
	return f, nil
}

// projects returns the normalised names, sorted.
func (x *Index) projects() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for _, f := range x.files {
		if !slices.Contains(out, f.project) {
			out = append(out, f.project)
		}
	}
	slices.Sort(out)
	return out
}

// project returns copies of a project's files, oldest version first.
func (x *Index) project(name string) []file {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []file
	for _, f := range x.files {
		if f.project == name {
			out = append(out, *f)
		}
	}
	slices.SortFunc(out, func(a, b file) int {
		if c := a.version.Compare(b.version); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}

var errNoFile = errors.New("no such file")

func (x *Index) file(name string) (file, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f, ok := x.files[name]; ok {
		return *f, nil
	}
	return file{}, errNoFile
}

// content returns the bytes of a file.
func (f *file) content() ([]byte, error) {
	if f.path == "" {
		return f.data, nil
	}
	return os.ReadFile(f.path)
}

func normalised(name string) string { return pep508.NormalizeName(name) }

var _ http.Handler = (*Index)(nil)
