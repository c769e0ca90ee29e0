package wheelhouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// deb is a package in the cache.
type deb struct {
	stanza
	path string
}

// fetch finds the seeds and what they depend on, downloads what the cache
// lacks, and tells which Python (3.11) the packages are for. The machine's own
// package lists are used; when they are missing or too old, private ones are
// fetched, and the machine's left alone.
func fetch(ctx context.Context, seeds []string, cache string, progress func(string)) ([]deb, string, error) {
	progress("asking apt for " + strings.Join(seeds, ", "))
	debs, python, err := apt{}.fetch(ctx, seeds, cache, progress)
	if err == nil || ctx.Err() != nil {
		return debs, python, err
	}
	private := apt{state: filepath.Join(cache, "apt")}
	progress("fetching package lists")
	if updateErr := private.update(ctx); updateErr != nil {
		return nil, "", errors.Join(err, updateErr)
	}
	return private.fetch(ctx, seeds, cache, progress)
}

// apt runs apt with the machine's lists, or with private ones in a folder.
type apt struct{ state string }

func (a apt) run(ctx context.Context, dir, tool string, args ...string) (string, error) {
	if a.state != "" {
		args = append([]string{"-o", "Dir::State::lists=" + a.state + "/lists", "-o", "Dir::Cache=" + a.state + "/cache"}, args...)
	}
	// apt's own sandbox user can't write to a folder of this user.
	args = append([]string{"-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"}, args...)
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %s %s: %w: %s", tool, args[len(args)-1], err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

func (a apt) update(ctx context.Context) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.state, d), 0o755); err != nil {
			return fmt.Errorf("make folder for package lists: %w", err)
		}
	}
	_, err := a.run(ctx, a.state, "apt-get", "update")
	return err
}

func (a apt) fetch(ctx context.Context, seeds []string, cache string, progress func(string)) ([]deb, string, error) {
	packages, err := a.closure(ctx, seeds)
	if err != nil {
		return nil, "", err
	}
	python, err := a.python(ctx)
	if err != nil {
		return nil, "", err
	}
	pool := filepath.Join(cache, "debs")
	if err := os.MkdirAll(pool, 0o755); err != nil {
		return nil, "", fmt.Errorf("make package folder: %w", err)
	}
	debs := make([]deb, len(packages))
	var missing []string
	for i, p := range packages {
		debs[i] = deb{p, filepath.Join(pool, p.file())}
		if debs[i].verify() != nil {
			missing = append(missing, p["Package"])
		}
	}
	if len(missing) > 0 {
		progress(fmt.Sprintf("downloading %d packages", len(missing)))
		if err := a.download(ctx, pool, missing); err != nil {
			return nil, "", err
		}
	}
	for _, d := range debs {
		if err := d.verify(); err != nil {
			return nil, "", fmt.Errorf("verify package: %w", err)
		}
	}
	return debs, python, nil
}

// closure returns the seeds and all python3-* packages that they depend on,
// sorted by name.
func (a apt) closure(ctx context.Context, seeds []string) ([]stanza, error) {
	found := map[string]stanza{}
	for todo := seeds; len(todo) > 0; {
		// apt-cache fails when no name is known; what it printed counts.
		out, err := a.run(ctx, "/", "apt-cache", append([]string{"show", "--no-all-versions"}, todo...)...)
		level := stanzas(out)
		if len(found) == 0 && len(level) == 0 {
			return nil, errors.Join(errors.New("apt knows none of "+strings.Join(seeds, ", ")), err)
		}
		todo = nil
		for _, s := range level {
			found[s["Package"]] = s
		}
		for _, s := range level {
			for _, d := range s.dependencies() {
				if _, known := found[d.name]; !known && isPythonPackage(d.name) && !slices.Contains(todo, d.name) {
					todo = append(todo, d.name)
				}
			}
		}
	}
	var out []stanza
	for _, s := range seeds {
		if found[s] == nil {
			return nil, fmt.Errorf("apt doesn't know the package %s", s)
		}
	}
	for _, s := range found {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y stanza) int { return strings.Compare(x["Package"], y["Package"]) })
	return out, nil
}

// notProjects are packages with parts of Python itself, or no code.
var notProjects = regexp.MustCompile(`-(dbg|doc|dev|minimal|distutils|lib2to3|tk|gdbm|all|venv)$`)

func isPythonPackage(name string) bool {
	return strings.HasPrefix(name, "python3-") && !notProjects.MatchString(name)
}

var pythonVersion = regexp.MustCompile(`^(3\.\d+)\b`)

// python returns the version of the distribution's default Python: 3.11.
func (a apt) python(ctx context.Context) (string, error) {
	out, err := a.run(ctx, "/", "apt-cache", "show", "--no-all-versions", "python3")
	for _, s := range stanzas(out) {
		if m := pythonVersion.FindString(s["Version"]); s["Package"] == "python3" && m != "" {
			return m, nil
		}
	}
	return "", errors.Join(errors.New("apt doesn't know the package python3"), err)
}

// download fetches packages into a folder of their own, then moves them: what is
// in the pool is whole.
func (a apt) download(ctx context.Context, pool string, packages []string) error {
	tmp, err := os.MkdirTemp(pool, "new-")
	if err != nil {
		return fmt.Errorf("make download folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if _, err := a.run(ctx, tmp, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(tmp, e.Name()), filepath.Join(pool, e.Name())); err != nil {
			return fmt.Errorf("keep package: %w", err)
		}
	}
	return nil
}

// file is the name under which apt-get stores a package.
func (s stanza) file() string {
	return s["Package"] + "_" + strings.ReplaceAll(s["Version"], ":", "%3a") + "_" + s["Architecture"] + ".deb"
}

// verify checks the package against the hash in the signed lists.
func (d deb) verify() error {
	b, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != d.stanza["SHA256"] {
		return fmt.Errorf("%s has SHA256 %s, not %s", d.path, got, d.stanza["SHA256"])
	}
	return nil
}
