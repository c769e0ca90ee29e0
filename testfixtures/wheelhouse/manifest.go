package wheelhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const manifestName = "manifest.json"

// Manifest says what a folder of wheels has.
type Manifest struct {
	Python string  `json:"python"` // 3.11: what compiled extensions are for
	Wheels []Entry `json:"wheels"` // by file name
}

// Entry is one wheel.
type Entry struct {
	Name     string   `json:"name"` // normalised
	Version  string   `json:"version"`
	File     string   `json:"file"`
	Deb      string   `json:"deb"` // package and version: python3-flask 2.2.2-3
	Requires []string `json:"requires,omitempty"`
	From     string   `json:"requires_from"` // metadata, requires.txt or depends
	Compiled bool     `json:"compiled,omitempty"`
	Needs    []string `json:"needs,omitempty"` // libraries of the host beyond the C library
}

// ReadManifest reads the manifest of a folder that Build filled.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifestName), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// sameManifest reports whether dir has what from has: the manifest and every
// file that it names.
func sameManifest(from, dir string) bool {
	a, err := os.ReadFile(filepath.Join(from, manifestName))
	if err != nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil || !bytes.Equal(a, b) {
		return false
	}
	m, err := ReadManifest(dir)
	for _, e := range m.Wheels {
		if _, missing := os.Stat(filepath.Join(dir, e.File)); missing != nil {
			return false
		}
	}
	return err == nil
}
