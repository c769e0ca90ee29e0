package pypi

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Wheel is a small wheel for a test. Only Name and Version are needed.
type Wheel struct {
	Name           string
	Version        string
	Requires       []string // Requires-Dist
	Extras         []string // Provides-Extra
	RequiresPython string
	Tag            string            // "py3-none-any"; several: "py2.py3-none-any"
	Build          string            // build number
	Scripts        map[string]string // console scripts: name to "module:function"
	Files          map[string]string // path in the wheel to content; NAME.data/… too
}

// MakeWheel packs a pure wheel.
func MakeWheel(name, version string, requires []string, files map[string]string) []byte {
	return Wheel{Name: name, Version: version, Requires: requires, Files: files}.Bytes()
}

// Filename returns the wheel's file name.
func (w Wheel) Filename() string {
	parts := []string{w.stem()}
	if w.Build != "" {
		parts = append(parts, w.Build)
	}
	return strings.Join(append(parts, w.tag()), "-") + ".whl"
}

func (w Wheel) stem() string { return escape(w.Name) + "-" + w.Version }

// escape writes a name so that it can stand before "-".
func escape(name string) string { return strings.ReplaceAll(normalised(name), "-", "_") }

func (w Wheel) tag() string {
	if w.Tag == "" {
		return "py3-none-any"
	}
	return w.Tag
}

// Bytes packs the wheel. Equal wheels have equal bytes.
func (w Wheel) Bytes() []byte {
	info := w.stem() + ".dist-info/"
	var files []Packed
	for _, p := range slices.Sorted(maps.Keys(w.Files)) {
		files = append(files, Packed{Path: p, Data: []byte(w.Files[p])})
	}
	files = append(files, Packed{Path: info + "METADATA", Data: w.metadata()}, Packed{Path: info + "WHEEL", Data: WheelFile(w.tag())})
	if len(w.Scripts) > 0 {
		var b strings.Builder
		b.WriteString("[console_scripts]\n")
		for _, name := range slices.Sorted(maps.Keys(w.Scripts)) {
			fmt.Fprintf(&b, "%s = %s\n", name, w.Scripts[name])
		}
		files = append(files, Packed{Path: info + "entry_points.txt", Data: []byte(b.String())})
	}
	return Pack(info, files)
}

func (w Wheel) metadata() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.2\nName: %s\nVersion: %s\n", w.Name, w.Version)
	if w.RequiresPython != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", w.RequiresPython)
	}
	for _, e := range w.Extras {
		fmt.Fprintf(&b, "Provides-Extra: %s\n", e)
	}
	for _, r := range w.Requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	return []byte(b.String())
}

// SdistFilename returns the file name of the wheel's source distribution.
func (w Wheel) SdistFilename() string { return w.stem() + ".tar.gz" }

// Sdist packs a source distribution with static metadata and the wheel's files.
func (w Wheel) Sdist() []byte {
	var out bytes.Buffer
	g := gzip.NewWriter(&out)
	t := tar.NewWriter(g)
	add := func(path string, data []byte) {
		// A buffer takes every write.
		_ = t.WriteHeader(&tar.Header{Name: w.stem() + "/" + path, Mode: 0o644, Size: int64(len(data)), ModTime: packed})
		_, _ = t.Write(data)
	}
	add("PKG-INFO", w.metadata())
	for _, p := range slices.Sorted(maps.Keys(w.Files)) {
		add(p, []byte(w.Files[p]))
	}
	_ = t.Close()
	_ = g.Close()
	return out.Bytes()
}
