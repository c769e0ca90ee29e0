package wheelhouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// generation changes when other wheels come of the same packages.
const generation = "1"

// Build fills dir with the wheels of the seeds, which are Debian package names
// like python3-flask, of all python3-* packages they depend on, and with
// manifest.json. It does nothing when dir has them already. progress, if not
// nil, hears what is being done.
func Build(ctx context.Context, seeds []string, dir string, progress func(string)) error {
	from, err := Cached(ctx, seeds, progress)
	if err != nil {
		return err
	}
	if sameManifest(from, dir) {
		return nil
	}
	return copyWheels(from, dir)
}

// Cached is Build into a folder of the cache, which it returns. The folder is
// not to be written to.
func Cached(ctx context.Context, seeds []string, progress func(string)) (string, error) {
	if len(seeds) == 0 {
		return "", errors.New("build wheels: no packages named")
	}
	if progress == nil {
		progress = func(string) {}
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := lock(cache)
	if err != nil {
		return "", err
	}
	defer unlock()
	set := filepath.Join(cache, "sets", key(seeds))
	if _, err := os.Stat(filepath.Join(set, manifestName)); err == nil {
		return set, nil
	}
	return set, makeSet(ctx, seeds, cache, set, progress)
}

func cacheDir() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	dir := filepath.Join(user, "blast-testfixtures", "wheelhouse")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	return dir, nil
}

// lock keeps two builds from making the same thing.
func lock(cache string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock cache: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// key names the set of wheels that these seeds give on this release.
func key(seeds []string) string {
	sorted := slices.Sorted(slices.Values(seeds))
	sum := sha256.Sum256([]byte(strings.Join(append(sorted, release(), runtime.GOARCH, generation), "\n")))
	return hex.EncodeToString(sum[:8])
}

// release is the identity of the running distribution.
func release() string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	return string(b)
}

// makeSet makes the wheels beside set, and moves them there when all are done.
func makeSet(ctx context.Context, seeds []string, cache, set string, progress func(string)) error {
	debs, python, err := fetch(ctx, seeds, cache, progress)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(set), 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(set), "new-")
	if err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	progress(fmt.Sprintf("repacking %d packages", len(debs)))
	if err := repack(ctx, debs, python, tmp); err != nil {
		return err
	}
	if err := os.RemoveAll(set); err != nil {
		return fmt.Errorf("replace cached wheels: %w", err)
	}
	return os.Rename(tmp, set)
}

// copyWheels copies rather than links: a test may spoil its wheels.
func copyWheels(from, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make wheel folder: %w", err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read cached wheels: %w", err)
	}
	// The manifest comes last: with it, the folder is complete.
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return rank(a.Name()) - rank(b.Name()) })
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return fmt.Errorf("read cached wheel: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), b, 0o644); err != nil {
			return fmt.Errorf("write wheel: %w", err)
		}
	}
	return nil
}

func rank(name string) int {
	if name == manifestName {
		return 1
	}
	return 0
}
