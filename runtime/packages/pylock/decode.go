package pylock

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"blast.example/blast/runtime/packages/pep508"
)

// Bounds on what is read. The lock files of the largest known projects have
// below a thousand packages and some hundred wheels of one.
const (
	MaxSize     = 16 << 20 // bytes of a file
	maxPackages = 10_000
	maxWheels   = 2_000 // of one package
	maxList     = 1_000 // environments; dependencies or extras of one package
)

// major is the lock-version's first part that this package understands. PEP 751:
// another major is an error, another minor is not.
const major = 1

// document is the file as TOML has it. Unknown keys are left to their tools.
type document struct {
	LockVersion    *string    `toml:"lock-version"`
	Environments   []string   `toml:"environments"`
	RequiresPython string     `toml:"requires-python"`
	CreatedBy      string     `toml:"created-by"`
	Packages       []tomlItem `toml:"packages"`
	Tool           struct {
		Blast struct {
			Requirements string `toml:"requirements"`
			Interpreter  string `toml:"interpreter"`
		} `toml:"blast"`
	} `toml:"tool"`
}

type tomlItem struct {
	Name           string           `toml:"name"`
	Version        string           `toml:"version"`
	Marker         string           `toml:"marker"`
	RequiresPython string           `toml:"requires-python"`
	Dependencies   []tomlDependency `toml:"dependencies"`
	Index          string           `toml:"index"`
	Wheels         []tomlWheel      `toml:"wheels"`
	Sdist          any              `toml:"sdist"`
	VCS            any              `toml:"vcs"`
	Directory      any              `toml:"directory"`
	Archive        any              `toml:"archive"`
	Tool           struct {
		Blast struct {
			Direct bool     `toml:"direct"`
			Extras []string `toml:"extras"`
		} `toml:"blast"`
	} `toml:"tool"`
}

type tomlDependency struct {
	Name    string `toml:"name"`
	Version string `toml:"version"`
}

type tomlWheel struct {
	Name   string `toml:"name"`
	URL    string `toml:"url"`
	Path   string `toml:"path"`
	Size   int64  `toml:"size"`
	Hashes struct {
		SHA256 string `toml:"sha256"`
	} `toml:"hashes"`
}

// Decode reads a lock file. What isn't a lock file of a known version is an
// error; a package that Blast can't install isn't, and says so in Unusable.
func Decode(data []byte) (File, error) {
	if len(data) > MaxSize {
		return File{}, fmt.Errorf("lock file has %d bytes; at most %d are read", len(data), MaxSize)
	}
	// The version comes first: the rest of a later format may not even parse.
	if err := checkVersion(data); err != nil {
		return File{}, err
	}
	var d document
	if err := toml.Unmarshal(data, &d); err != nil {
		return File{}, tomlError(err)
	}
	if len(d.Packages) > maxPackages || len(d.Environments) > maxList {
		return File{}, fmt.Errorf("lock file has %d packages and %d environments; at most %d and %d are read", len(d.Packages), len(d.Environments), maxPackages, maxList)
	}
	f := File{LockVersion: *d.LockVersion, RequiresPython: d.RequiresPython, CreatedBy: d.CreatedBy, Fit: Fit(d.Tool.Blast)}
	f.Environments = append(f.Environments, d.Environments...)
	for i, p := range d.Packages {
		pkg, err := p.read()
		if err != nil {
			return File{}, fmt.Errorf("lock file: packages[%d]: %w", i, err)
		}
		f.Packages = append(f.Packages, pkg)
	}
	return f, nil
}

func checkVersion(data []byte) error {
	var v struct {
		LockVersion any `toml:"lock-version"`
	}
	if err := toml.Unmarshal(data, &v); err != nil {
		return tomlError(err)
	}
	text, ok := v.LockVersion.(string)
	if !ok || text == "" {
		return errors.New(`lock file has no lock-version = "1.0": it is no pylock.toml (PEP 751)`)
	}
	first, _, _ := strings.Cut(text, ".")
	if n, err := strconv.Atoi(first); err != nil || n != major {
		return fmt.Errorf("lock file has lock-version %q; this program understands %d.x: use a newer one, or lock again", clip(text), major)
	}
	return nil
}

func tomlError(err error) error {
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position()
		return fmt.Errorf("lock file: line %d, column %d: %w", line, column, err)
	}
	return fmt.Errorf("lock file: %w", err)
}

func (p tomlItem) read() (Package, error) {
	if !pep508.ValidName(p.Name) {
		return Package{}, fmt.Errorf("%q can't name a project", clip(p.Name))
	}
	if len(p.Wheels) > maxWheels || len(p.Dependencies) > maxList || len(p.Tool.Blast.Extras) > maxList {
		return Package{}, fmt.Errorf("%s has %d wheels and %d dependencies; at most %d and %d are read", p.Name, len(p.Wheels), len(p.Dependencies), maxWheels, maxList)
	}
	pkg := Package{Name: pep508.NormalizeName(p.Name), Version: p.Version, Marker: p.Marker,
		RequiresPython: p.RequiresPython, Index: p.Index, Direct: p.Tool.Blast.Direct}
	pkg.Extras = append(pkg.Extras, p.Tool.Blast.Extras...)
	for _, d := range p.Dependencies {
		if !pep508.ValidName(d.Name) {
			return Package{}, fmt.Errorf("%s depends on %q, which can't name a project", p.Name, clip(d.Name))
		}
		pkg.Dependencies = append(pkg.Dependencies, Dependency{pep508.NormalizeName(d.Name), d.Version})
	}
	for _, w := range p.Wheels {
		if w.Size < 0 {
			return Package{}, fmt.Errorf("%s: wheel %q has size %d", p.Name, clip(w.Name), w.Size)
		}
		pkg.Wheels = append(pkg.Wheels, w.read(pkg))
	}
	pkg.Unusable = p.unusable(pkg)
	return pkg, nil
}

func (w tomlWheel) read(p Package) Wheel {
	out := Wheel{Name: w.Name, URL: w.URL, Path: w.Path, Size: w.Size, SHA256: strings.ToLower(w.Hashes.SHA256)}
	if out.Name == "" { // PEP 751 allows that when the location ends in it
		out.Name = lastPart(w.URL, w.Path)
	}
	out.Unusable = unusableWheel(out, p)
	return out
}

// isSHA256 reports whether s is 32 bytes in hex.
func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// clip keeps messages about hostile input short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
