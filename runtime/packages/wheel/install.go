package wheel

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages/pep508"
)

// install is one wheel on its way to dst.
type install struct {
	archive *archive
	dist    dist
	record  record
	target  Target
	dst     *os.Root
	taken   claims // names in dst
	going   map[string]bool
	files   []File
}

// replaced are files of .dist-info that the installer writes, or that would be
// untrue after it: a wheel's own are left out.
var replaced = []string{"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}

func (i *install) run() (Installed, error) {
	launchers, err := i.launchers()
	if err != nil {
		return Installed{}, err
	}
	if err := i.places(); err != nil {
		return Installed{}, err
	}
	for _, f := range i.archive.files {
		if err := i.unpack(f, launchers); err != nil {
			return Installed{}, err
		}
	}
	for _, l := range launchers {
		if err := i.write("bin/"+l.name, launcher(i.target.Interpreter, l), true); err != nil {
			return Installed{}, err
		}
	}
	return i.finish()
}

// finish writes INSTALLER and RECORD.
func (i *install) finish() (Installed, error) {
	site := i.target.SitePackages()
	info := site + "/" + i.dist.info
	if err := i.write(info+"/INSTALLER", []byte(Installer+"\n"), false); err != nil {
		return Installed{}, err
	}
	byPath := func(a, b File) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(i.files, byPath)
	if err := i.write(info+"/RECORD", newRecord(i.files, site, info), false); err != nil {
		return Installed{}, err
	}
	slices.SortFunc(i.files, byPath)
	return Installed{Name: i.dist.name, Version: i.dist.version, Info: info, Files: i.files}, nil
}

// place is where a file of the archive goes.
type place struct {
	path   string // "" is nowhere
	script bool
}

func (i *install) place(name string) (place, error) {
	site := i.target.SitePackages()
	top, rest, _ := strings.Cut(name, "/")
	switch {
	case top == i.dist.info && slices.Contains(replaced, rest):
		return place{}, nil
	case top != i.dist.data || i.dist.data == "":
		return place{path: site + "/" + name}, nil
	}
	scheme, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return place{}, fmt.Errorf("%q is in no folder of %s", clip(name), top)
	}
	switch scheme {
	case "purelib", "platlib":
		return place{path: site + "/" + rest}, nil
	case "scripts":
		if strings.Contains(rest, "/") {
			return place{}, fmt.Errorf("script %q is in a folder", clip(name))
		}
		return place{path: "bin/" + rest, script: true}, nil
	case "headers":
		return place{path: path.Join("include/site/python"+i.target.Python, pep508.NormalizeName(i.dist.name), rest)}, nil
	case "data":
		return place{path: rest}, nil
	}
	return place{}, fmt.Errorf("%q: a wheel's data has no folder %q", clip(name), clip(scheme))
}

// places notes where all files go.
func (i *install) places() error {
	i.going = make(map[string]bool, len(i.archive.files))
	for _, f := range i.archive.files {
		to, err := i.place(f.Name)
		if err != nil {
			return err
		}
		i.going[to.path] = true
	}
	return nil
}

// madeHere reports whether a file is bytecode of a module that comes with its source.
// Python would run the bytecode and show the source, whatever the two say.
func (i *install) madeHere(name string) bool {
	source := Source(name)
	return source != "" && i.going[source]
}

// Source is the module that a file is bytecode of; "" if it is none (PEP 3147).
func Source(name string) string {
	dir, base := path.Split(name)
	module, _, ok := strings.Cut(base, ".")
	if !ok || path.Base(dir) != "__pycache__" || !strings.HasSuffix(base, ".pyc") {
		return ""
	}
	return path.Join(path.Dir(path.Clean(dir)), module+".py")
}

// unpack verifies one file and puts it in its place. Even what has no place is
// read to its end, as its hash must be right, too.
func (i *install) unpack(f *zip.File, launchers []entryPoint) error {
	to, err := i.place(f.Name)
	if err != nil {
		return err
	}
	if to.script && slices.ContainsFunc(launchers, func(l entryPoint) bool { return "bin/"+l.name == to.path }) {
		to.path = "" // a ready-made launcher of an entry point: ours takes its place
	}
	if i.madeHere(to.path) {
		to.path = ""
	}
	r, err := open(f)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	v := i.record.of(f.Name).verify(r)
	switch {
	case to.path == "":
		_, err = io.Copy(io.Discard, v)
	case to.script:
		err = i.copy(to.path, newShebang(v, i.target.Interpreter), true)
	default:
		err = i.copy(to.path, v, f.Mode()&0o111 != 0)
	}
	if err == nil {
		err = v.check(f.UncompressedSize64)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", clip(f.Name), err)
	}
	return nil
}

func (i *install) write(name string, content []byte, executable bool) error {
	return i.copy(name, bytes.NewReader(content), executable)
}

// copy makes a new file in dst. It never opens one that is there.
func (i *install) copy(name string, r io.Reader, executable bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := i.taken.claim(name); err != nil {
		return err
	}
	out := File{Path: name, Executable: executable}
	f, err := create(i.dst, name, out.Mode())
	if err != nil {
		return err
	}
	h := sha256.New()
	buffered := bufio.NewWriter(f)
	out.Size, err = io.Copy(io.MultiWriter(buffered, h), r)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Chmod(out.Mode()) // whatever the umask is
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = i.dst.Chtimes(name, Time, Time)
	}
	out.SHA256 = hex.EncodeToString(h.Sum(nil))
	i.files = append(i.files, out)
	return err
}

func create(dst *os.Root, name string, mode fs.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := dst.OpenFile(name, flags, mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := dst.MkdirAll(path.Dir(name), FolderMode); err != nil {
			return nil, err
		}
		f, err = dst.OpenFile(name, flags, mode)
	}
	return f, err
}
