//go:build linux

package generation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/generation/pip"
	"blast.example/blast/runtime/packages/wheel"
)

// build makes a generation beside its place and moves it there in one step. If it
// fails, nothing is left but what came into the cache.
func (h *Host) build(ctx context.Context, f *folder, to target) (err error) {
	if err := h.checkInterpreter(ctx, to.set.Python); err != nil {
		return err
	}
	if err := h.openCache(); err != nil {
		return err
	}
	release, err := h.cache.Use(ctx)
	if err != nil {
		return err
	}
	defer release()
	entries, err := h.entries(ctx, to)
	if err != nil {
		return err
	}
	l, err := h.layout(ctx, to, entries)
	if err != nil {
		return err
	}
	if err := removeTree(f.dir, newName); err != nil {
		return fmt.Errorf("make room for packages: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(f.dir, newName))
		}
	}()
	if err := f.fill(ctx, to, l); err != nil {
		return fmt.Errorf("build packages: %w", f.at("fill", err))
	}
	return f.place(to.id)
}

// openCache makes the cache's folder before it looks whose it is, so that nobody can
// make it in between.
func (h *Host) openCache() error {
	if err := os.MkdirAll(h.cacheDir, 0o700); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	return private(h.cacheDir)
}

// entries has the wheels fetched that the cache lacks.
func (h *Host) entries(ctx context.Context, to target) ([]cache.Entry, error) {
	wheels := make([]cache.Wheel, 0, len(to.set.Packages))
	for _, p := range to.set.Packages {
		wheels = append(wheels, cache.Wheel{File: p.File, URL: p.URL, SHA256: p.SHA256, Size: p.Size})
	}
	return h.cache.Ensure(ctx, wheels, h.settings(ctx, to))
}

func (h *Host) settings(ctx context.Context, to target) cache.Settings {
	return cache.Settings{
		Target: to.wheelTarget(), Python: to.set.Python.Path, Login: kinds.Logins(ctx).Apply,
		Progress: func(p cache.Progress) { kinds.Progress(ctx, p.String()) },
	}
}

// layout arranges the projects, and with them Blast's own pip if none of them
// brings one.
func (h *Host) layout(ctx context.Context, to target, entries []cache.Entry) (*layout, error) {
	site := to.wheelTarget().SitePackages()
	parts := make([]part, 0, len(entries)+1)
	for _, e := range entries {
		parts = append(parts, newPart(e))
	}
	own := append(slices.Sorted(maps.Keys(links(to))), configName, manifestName)
	l, err := arrange(site, own, parts)
	if err != nil || slices.ContainsFunc(to.set.Packages, func(p packages.Pinned) bool { return p.Name == "pip" }) || l.has(site+"/pip") {
		return l, err
	}
	tool, err := h.pip(ctx, to)
	if err != nil {
		return nil, err
	}
	return arrange(site, own, append(parts, tool))
}

// pip is Blast's own pip, which goes through the cache as every wheel does, for its
// bytecode and launchers. It is not installed as a project: nobody asked for it.
func (h *Host) pip(ctx context.Context, to target) (part, error) {
	name, content := pip.Wheel(to.minor())
	e, err := h.cache.Store(ctx, name, content, h.settings(ctx, to))
	if err != nil {
		return part{}, fmt.Errorf("add pip: %w", err)
	}
	p := newPart(e)
	p.files = slices.DeleteFunc(slices.Clone(p.files), func(f wheel.File) bool { return strings.HasPrefix(f.Path, e.Info+"/") })
	return p, nil
}

// configName makes a folder a virtual environment (PEP 405).
const configName = "pyvenv.cfg"

func config(py packages.Interpreter) []byte {
	return fmt.Appendf(nil, "home = %s\ninclude-system-site-packages = false\nversion = %s\nexecutable = %s\n", filepath.Dir(py.Path), py.Version, py.Path)
}

// links are the links of a generation.
func links(to target) map[string]string {
	return map[string]string{
		"lib64":                   "lib",
		"bin/python":              to.set.Python.Path,
		"bin/python3":             "python",
		"bin/python" + to.minor(): "python",
	}
}

// fill makes the folder newName what generation to is.
func (f *folder) fill(ctx context.Context, to target, l *layout) error {
	if err := f.root.Mkdir(newName, folderMode); err != nil {
		return err
	}
	if err := f.root.Chmod(newName, folderMode); err != nil { // whatever the umask is
		return err
	}
	root, err := f.root.OpenRoot(newName)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	t := &tree{root: root, made: map[string]bool{}}
	if err := t.makeFolder(to.wheelTarget().SitePackages()); err != nil {
		return err
	}
	for i := range l.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.addPart(l, i); err != nil {
			return fmt.Errorf("%s: %w", l.parts[i].name, err)
		}
	}
	m := manifest{Format: manifestFormat, Attrs: to.attrs, Links: links(to), Files: t.files}
	if err := t.finish(&m, config(to.set.Python)); err != nil {
		return err
	}
	// What changed in the cache since it was looked at must not get in.
	found, err := f.inspect(newName, m)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("the cache was changed meanwhile: %s", strings.Join(found, "; "))
	}
	return err
}

// finish adds what no project brings, and the manifest at last.
func (t *tree) finish(m *manifest, config []byte) error {
	if err := t.write(configName, config, wheel.FileMode); err != nil {
		return err
	}
	t.files = append(t.files, file{Path: configName, Size: int64(len(config))})
	m.Files = t.files
	slices.SortFunc(m.Files, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	for p, to := range m.Links {
		if err := t.makeFolder(path.Dir(p)); err != nil {
			return err
		}
		if err := t.root.Symlink(to, p); err != nil {
			return err
		}
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	return t.write(manifestName, b, 0o600)
}

// place gives the new generation its name. A damaged one of that name changes
// places with it and goes with the next change, as it may be in use.
//
// Of a machine that loses power here, a file system with a journal keeps names in
// the order in which they were made. Should a file be lost nonetheless, Observe
// sees it.
func (f *folder) place(id string) error {
	err := unix.Renameat2(int(f.dir.Fd()), newName, int(f.dir.Fd()), id, unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrExist) {
		err = unix.Renameat2(int(f.dir.Fd()), newName, int(f.dir.Fd()), id, unix.RENAME_EXCHANGE)
	}
	if err == nil {
		err = f.dir.Sync()
	}
	if err != nil {
		return fmt.Errorf("place packages: %w", f.at("change", err))
	}
	return nil
}

// write makes a new file and has it on disk.
func (t *tree) write(name string, content []byte, mode fs.FileMode) error {
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = t.root.Chtimes(name, wheel.Time, wheel.Time)
	}
	return err
}
