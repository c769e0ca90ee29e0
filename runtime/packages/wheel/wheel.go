// Package wheel verifies wheels and unpacks them as installed projects (Binary
// Distribution Format and Recording Installed Projects pages of the PyPA, PEP
// 376, 427, 491 and 627).
//
// A wheel is hostile until shown otherwise. Nothing of it is written but regular
// files below the given folder, each of which its RECORD lists with size and
// hash; links, devices, names that leave the folder or are equal but for case,
// and archives that unpack to absurd sizes are refused.
package wheel

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"blast.example/blast/runtime/packages/tags"
)

// Installer is what INSTALLER says (PEP 376).
const Installer = "blast"

// Modes of all files and folders: nobody has a reason to write any of them.
const (
	FileMode       fs.FileMode = 0o444
	ExecutableMode fs.FileMode = 0o555
	FolderMode     fs.FileMode = 0o755
)

// Time is the modification time of every file. As it is the same for all, one
// that was changed in place stands out.
var Time = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A Target says for which virtual environment a wheel is unpacked.
type Target struct {
	Python      string // major and minor version: "3.11"
	Interpreter string // for the first line of scripts: /venv/current/bin/python
}

// SitePackages is the folder of modules, relative to the virtual environment.
func (t Target) SitePackages() string { return "lib/python" + t.Python + "/site-packages" }

// An Installed is what came out of a wheel.
type Installed struct {
	Name    string `json:"name"`    // as METADATA writes it
	Version string `json:"version"` // as METADATA writes it
	Info    string `json:"info"`    // its .dist-info folder, relative to the virtual environment
	Files   []File `json:"files"`   // all of them, sorted by path
}

// A File is one regular file.
type File struct {
	Path       string `json:"path"` // relative to the virtual environment
	Size       int64  `json:"size"` // bytes
	SHA256     string `json:"sha256"`
	Executable bool   `json:"executable,omitempty"`
}

// Mode is the mode that the file has on disk.
func (f File) Mode() fs.FileMode {
	if f.Executable {
		return ExecutableMode
	}
	return FileMode
}

// Unpack verifies the wheel in r, whose size is in bytes and whose file name is
// name, and unpacks it into dst, an empty folder. What dst holds after an error
// is to be thrown away.
func Unpack(r io.ReaderAt, size int64, name string, dst *os.Root, t Target) (Installed, error) {
	in, err := unpack(r, size, name, dst, t)
	if err != nil {
		return Installed{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	return in, nil
}

func unpack(r io.ReaderAt, size int64, file string, dst *os.Root, t Target) (Installed, error) {
	name, err := tags.ParseWheelName(file)
	if err != nil {
		return Installed{}, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return Installed{}, fmt.Errorf("read zip: %w", err)
	}
	a, err := newArchive(z, size)
	if err != nil {
		return Installed{}, err
	}
	d, err := a.identify(name)
	if err != nil {
		return Installed{}, err
	}
	rec, err := a.record(d.info)
	if err != nil {
		return Installed{}, err
	}
	if err := a.matches(rec, d.info); err != nil {
		return Installed{}, err
	}
	i := &install{archive: a, dist: d, record: rec, target: t, dst: dst, taken: claims{}}
	return i.run()
}
