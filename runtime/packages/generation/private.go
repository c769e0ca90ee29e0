//go:build linux

package generation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// unsafeError is a folder of the cache that somebody else could write to.
type unsafeError struct{ cache, dir, why string }

func (e *unsafeError) Error() string {
	return fmt.Sprintf("the cache of packages %s can't be trusted: %s %s", e.cache, e.dir, e.why)
}

func (e *unsafeError) fix() string {
	return fmt.Sprintf("Take the rights to write to %s from others, or start blastd with XDG_CACHE_HOME set to a folder of its own user.", e.dir)
}

// private refuses a cache folder that another user could write to: what is in it
// gets installed as it is. The same goes for every folder above it, where one could
// move it away and put another in its place; a sticky one, as /tmp, prevents that.
func private(dir string) error {
	real, err := existing(dir)
	if err != nil {
		return fmt.Errorf("find cache folder: %w", err)
	}
	for _, path := range []string{real, dir} { // and whoever owns a link on the way could change that
		for d := path; ; d = filepath.Dir(d) {
			if err := privateFolder(dir, d); err != nil {
				return err
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return nil
}

func privateFolder(cache, dir string) error {
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check cache folder: %w", err)
	}
	if u := owner(fi); u != 0 && u != uint32(os.Geteuid()) { //nolint:gosec // a user id
		return &unsafeError{cache, dir, fmt.Sprintf("belongs to user %d", u)}
	}
	sticky := fi.Mode()&fs.ModeSticky != 0 && dir != cache
	if fi.IsDir() && fi.Mode().Perm()&0o022 != 0 && !sticky {
		return &unsafeError{cache, dir, fmt.Sprintf("can be written to by others (mode %04o)", fi.Mode().Perm())}
	}
	return nil
}

// existing is the part of a path that is there, without links: the rest will be
// made in it.
func existing(path string) (string, error) {
	for {
		real, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return real, err
		}
		path = filepath.Dir(path)
	}
}
