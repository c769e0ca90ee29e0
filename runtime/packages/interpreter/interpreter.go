// Package interpreter finds a Python of the host that sandboxes can see, too:
// in the system folders, never through PATH, where a person's own shims are.
package interpreter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// Found is an interpreter with what is needed to choose packages for it.
type Found struct {
	packages.Interpreter
	Env     pep508.Environment
	Tags    tags.Ranking
	Version pep440.Version
}

// New describes an interpreter by what is known of it. Its digest is of what a
// choice of packages depends on: an update of the kernel is not among that.
func New(path string, env pep508.Environment, compatible []tags.Tag) (*Found, error) {
	v, err := pep440.Parse(strings.TrimSuffix(env.PythonFullVersion, "+")) // "3.11.2+" is built from a changed source
	if err != nil {
		return nil, err
	}
	stable := env
	stable.PlatformRelease, stable.PlatformVersion = "", ""
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(stable) // texts always encode, and a hash takes every write
	_ = json.NewEncoder(h).Encode(compatible)
	return &Found{
		Interpreter: packages.Interpreter{Path: path, Version: env.PythonFullVersion, Tags: hex.EncodeToString(h.Sum(nil)[:6])},
		Env:         env, Tags: tags.NewRanking(compatible), Version: v,
	}, nil
}

// Finder looks for interpreters. The zero value looks where the base of every
// sandbox has the host's files.
type Finder struct {
	Dirs  []string // where to look; nil: the system's folders of programs
	Trees []string // what a sandbox sees: links that lead elsewhere don't count; nil: /usr

	// Cache is a folder in which answers are kept, each for one very file; "" is
	// none. Whoever may write there decides what is installed.
	Cache string
}

var (
	systemDirs  = []string{"/usr/bin", "/usr/local/bin"}
	systemTrees = []string{"/usr"}
)

// Find is Finder{}.Find.
func Find(ctx context.Context, wish string) (*Found, error) { return Finder{}.Find(ctx, wish) }

// At asks the interpreter at a path, which must be one that Find could return: the
// program is run, possibly by root.
func At(ctx context.Context, path string) (*Found, error) {
	if !slices.Contains(Finder{Dirs: systemDirs, Trees: systemTrees}.candidates(), path) {
		return nil, fmt.Errorf("%s is no Python in %s, where sandboxes see it, too", path, strings.Join(systemDirs, " or "))
	}
	return memory("").ask(ctx, path)
}

// Find returns the newest interpreter that fits a wish: "3.11" (any 3.11),
// ">= 3.11", or "" for any. A pre-release is taken only if nothing else fits.
func (f Finder) Find(ctx context.Context, wish string) (*Found, error) {
	if f.Dirs == nil {
		f.Dirs, f.Trees = systemDirs, systemTrees
	}
	specs, err := specifiers(wish)
	if err != nil {
		return nil, err
	}
	var best *Found
	var seen []string
	for _, path := range f.candidates() {
		py, err := memory(f.Cache).ask(ctx, path)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			seen = append(seen, fmt.Sprintf("%s, which %v", path, err))
			continue
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", path, py.Interpreter.Version))
		if specs.Contains(py.Version) && (best == nil || better(py.Version, best.Version)) {
			best = py
		}
	}
	if best == nil {
		return nil, f.none(wish, seen)
	}
	return best, nil
}

func better(v, than pep440.Version) bool {
	if v.IsPrerelease() != than.IsPrerelease() {
		return than.IsPrerelease()
	}
	return v.Compare(than) > 0
}

// none says what there is instead, and what to do.
func (f Finder) none(wish string, seen []string) error {
	where := strings.Join(f.Dirs, " or ")
	if len(seen) == 0 {
		return fmt.Errorf("there is no Python in %s, where sandboxes see it, too. Install one: apt-get install python3", where)
	}
	there := fmt.Sprintf("In %s there is %s", where, strings.Join(seen, "; "))
	if wish == "" {
		return fmt.Errorf("no Python that works was found. %s. Install one: apt-get install python3", there)
	}
	return fmt.Errorf("no Python fits version = %q. %s. Install one that fits, or change version in the python block", wish, there)
}

func specifiers(wish string) (pep440.Specifiers, error) {
	wish = strings.TrimSpace(wish)
	if wish != "" && !strings.ContainsAny(wish, "<>=~!") {
		if strings.Count(wish, ".") < 2 && !strings.HasSuffix(wish, ".*") {
			wish += ".*"
		}
		wish = "==" + wish
	}
	specs, err := pep440.ParseSpecifiers(wish)
	if err != nil {
		return nil, fmt.Errorf("the version of Python can't be understood: %w", err)
	}
	return specs, nil
}

// program is the name of an interpreter: python3.11, python3.13t.
var program = regexp.MustCompile(`^python3\.[0-9]{1,2}t?$`)

// candidates are programs called python3.N, each once, in a fixed order.
func (f Finder) candidates() []string {
	var out, real []string
	for _, dir := range f.Dirs {
		paths, _ := filepath.Glob(filepath.Join(dir, "python3.*")) // only a bad pattern is an error
		slices.Sort(paths)
		for _, p := range paths {
			target, err := filepath.EvalSymlinks(p)
			if err != nil || !program.MatchString(filepath.Base(p)) || slices.Contains(real, target) || !f.sees(target) {
				continue
			}
			if fi, err := os.Stat(target); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				out, real = append(out, p), append(real, target)
			}
		}
	}
	return out
}

func (f Finder) sees(path string) bool {
	return slices.ContainsFunc(f.Trees, func(tree string) bool { return strings.HasPrefix(path, tree+"/") })
}

// describe checks an answer, which is what a program of the host says and not
// to be believed blindly: what follows from it is made in memory.
func (a answer) describe(path string) (*Found, error) {
	switch {
	case a.Env.ImplementationName != "cpython":
		return nil, fmt.Errorf("is %.20q, and Blast works with cpython", a.Env.ImplementationName)
	case a.Version[0] != 3 || a.Version[1] < 0 || a.Version[1] > 99,
		a.Libc[0] < 0 || a.Libc[1] < 0 || a.Libc[1] > 999,
		!machine.MatchString(a.Arch),
		a.Env.PythonVersion != fmt.Sprintf("%d.%d", a.Version[0], a.Version[1]),
		!strings.HasPrefix(a.Env.PythonFullVersion, a.Env.PythonVersion+"."):
		return nil, errNonsense
	}
	list := tags.Compatible(tags.Python{Major: a.Version[0], Minor: a.Version[1], FreeThreaded: a.Free}, tags.Glibc{Major: a.Libc[0], Minor: a.Libc[1]}, a.Arch)
	py, err := New(path, a.Env, list)
	if err != nil {
		return nil, errNonsense
	}
	return py, nil
}

var machine = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

var errNonsense = errors.New("answers nonsense")
