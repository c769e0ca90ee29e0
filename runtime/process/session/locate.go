package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/state"
)

// Person is the one on whose behalf blast runs: under sudo not root.
func Person() (uid, gid int) {
	uid, gid = os.Geteuid(), os.Getegid()
	if uid != 0 {
		return uid, gid
	}
	if u, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && u > 0 {
		if g, err := strconv.Atoi(os.Getenv("SUDO_GID")); err == nil && g > 0 {
			return u, g
		}
	}
	return uid, gid
}

// Locate finds the environment that the working folder belongs to, by name or
// the only one there is, without reading blast.hcl: commands can be run while it is
// broken.
func Locate(name string) (state.Env, error) {
	root, err := Root()
	if err != nil {
		return state.Env{}, err
	}
	if name == "" {
		if name, err = onlyEnvironment(root); err != nil {
			return state.Env{}, err
		}
	}
	if err := errors.Join(state.CheckProject(root), state.CheckName(name)); err != nil {
		return state.Env{}, err
	}
	uid, gid := Person()
	return state.Open(root, name, uid, gid)
}

// Root is the project that the working folder belongs to.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return projectRoot(dir)
}

// projectRoot is the nearest folder upwards with a blast.hcl or a .blast.
func projectRoot(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		for _, name := range []string{"blast.hcl", ".blast"} {
			if _, err := os.Lstat(filepath.Join(d, name)); err == nil {
				return d, nil
			}
		}
		if d == filepath.Dir(d) {
			return "", errors.New("no blast.hcl here or in a folder above; `blast init` writes one")
		}
	}
}

// onlyEnvironment is the one with a state, or "default" when there is none. Snapshots
// outlive theirs.
func onlyEnvironment(root string) (string, error) {
	es, err := os.ReadDir(filepath.Join(root, ".blast"))
	if errors.Is(err, fs.ErrPermission) {
		return "", client.ErrPrivilege
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var names []string
	for _, e := range es {
		if e.IsDir() && e.Name() != filepath.Base(state.SnapshotsDir(root)) {
			names = append(names, e.Name())
		}
	}
	switch len(names) {
	case 0:
		return "default", nil
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("several environments were applied here (%s): choose one with --env", strings.Join(names, ", "))
}
