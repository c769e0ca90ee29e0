package wheel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// formatMajor is the Wheel-Version that this package understands: another
// major must be refused, a later minor is still readable (PEP 427).
const formatMajor = 1

// dist says which project a wheel is.
type dist struct {
	name, version string // as METADATA writes them
	info, data    string // top folders; data is "" if there is none
}

// identify finds the project's folders and holds file name, folder names and
// metadata against each other.
func (a *archive) identify(file tags.WheelName) (dist, error) {
	var d dist
	var err error
	if d.info, err = a.topFolder(".dist-info", file); err != nil {
		return d, err
	}
	if d.info == "" {
		return d, errors.New("it has no .dist-info folder")
	}
	if d.data, err = a.topFolder(".data", file); err != nil {
		return d, err
	}
	if err := a.checkFormat(d.info + "/WHEEL"); err != nil {
		return d, err
	}
	meta, err := a.headers(d.info + "/METADATA")
	if err != nil {
		return d, err
	}
	d.name, d.version = meta["name"], meta["version"]
	if !pep508.ValidName(d.name) || !same(file, d.name, d.version) {
		return d, fmt.Errorf("METADATA says it is %q %q", clip(d.name), clip(d.version))
	}
	return d, nil
}

// same reports whether a file name's project and version are those.
func same(file tags.WheelName, name, version string) bool {
	v, err := pep440.Parse(version)
	return err == nil && pep508.NormalizeName(name) == file.Name && v.Compare(file.Version) == 0
}

// topFolder returns the one top folder with that ending, which must carry the
// project's name and version.
func (a *archive) topFolder(ending string, file tags.WheelName) (string, error) {
	found := ""
	for _, f := range a.files {
		top, _, isFolder := strings.Cut(f.Name, "/")
		stem, ok := strings.CutSuffix(top, ending)
		if !ok || !isFolder || top == found {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("it has two %s folders: %q and %q", ending, clip(found), clip(top))
		}
		if i := strings.LastIndexByte(stem, '-'); i < 0 || !same(file, stem[:i], stem[i+1:]) {
			return "", fmt.Errorf("its folder %q is of another project or version", clip(top))
		}
		found = top
	}
	return found, nil
}

func (a *archive) checkFormat(name string) error {
	h, err := a.headers(name)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(h["wheel-version"], ".")
	if n, err := strconv.Atoi(first); err != nil || n != formatMajor {
		return fmt.Errorf("it has Wheel-Version %q; %d.x is understood", clip(h["wheel-version"]), formatMajor)
	}
	return nil
}

// headers reads the "Key: value" lines at the beginning of a file, up to the
// first empty line. Keys are in lower case; the first of a key counts.
func (a *archive) headers(name string) (map[string]string, error) {
	b, ok, err := a.text(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("it has no %s", name)
	}
	h := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxText+1)
	for lines.Scan() {
		line := lines.Text()
		if strings.TrimRight(line, "\r") == "" {
			break
		}
		key, value, ok := strings.Cut(line, ":")
		if key = strings.ToLower(key); !ok || strings.ContainsAny(key, " \t") {
			continue // a line that goes on, or a header of no interest
		}
		if _, there := h[key]; !there {
			h[key] = strings.TrimSpace(value)
		}
	}
	return h, lines.Err()
}
