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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// dirs are the folders that the base of a sandbox shows.
var dirs = []string{"/usr/bin", "/usr/local/bin"}

// Found is an interpreter with what is needed to choose packages for it.
type Found struct {
	packages.Interpreter
	Env     pep508.Environment
	Tags    tags.Ranking
	Version pep440.Version
}

// answer is what the interpreter says about itself.
type answer struct {
	Env   pep508.Environment `json:"env"`
	Libc  [2]int             `json:"libc"`
	Arch  string             `json:"arch"`
	Minor [2]int             `json:"version"`
	Free  bool               `json:"free"`
}

const question = `
import json, os, platform, sys, sysconfig
def version(info):
    v = "{0.major}.{0.minor}.{0.micro}".format(info)
    return v if info.releaselevel == "final" else v + info.releaselevel[0] + str(info.serial)
libc = platform.libc_ver()
print(json.dumps({
  "env": {
    "implementation_name": sys.implementation.name,
    "implementation_version": version(sys.implementation.version),
    "os_name": os.name,
    "platform_machine": platform.machine(),
    "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(),
    "platform_system": platform.system(),
    "platform_version": platform.version(),
    "python_full_version": platform.python_version(),
    "python_version": ".".join(platform.python_version_tuple()[:2]),
    "sys_platform": sys.platform},
  "libc": [int(x) for x in libc[1].split(".")[:2]] if libc[0] == "glibc" else [0, 0],
  "arch": platform.machine(),
  "version": list(sys.version_info[:2]),
  "free": bool(sysconfig.get_config_var("Py_GIL_DISABLED"))}))
`

// Find returns the newest interpreter that fits a specifier: "3.11" (any 3.11),
// ">= 3.11", or "" for any.
func Find(ctx context.Context, wish string) (*Found, error) {
	specs, err := specifiers(wish)
	if err != nil {
		return nil, err
	}
	var best *Found
	var seen []string
	for _, path := range candidates() {
		f, err := ask(ctx, path)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			seen = append(seen, fmt.Sprintf("%s (%v)", path, err))
			continue
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", path, f.Interpreter.Version))
		if specs.Contains(f.Version) && (best == nil || f.Version.Compare(best.Version) > 0) {
			best = f
		}
	}
	if best != nil {
		return best, nil
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("no Python in %s; install one: apt-get install python3", strings.Join(dirs, " or "))
	}
	return nil, fmt.Errorf("no Python %s in the system folders; there are: %s", wish, strings.Join(seen, ", "))
}

func specifiers(wish string) (pep440.Specifiers, error) {
	if wish != "" && !strings.ContainsAny(wish, "<>=~!") {
		if strings.Count(wish, ".") < 2 {
			wish += ".*"
		}
		wish = "==" + wish
	}
	return pep440.ParseSpecifiers(wish)
}

// candidates are real files called python3.N; links to them would be the same.
func candidates() []string {
	var out []string
	for _, dir := range dirs {
		paths, _ := filepath.Glob(filepath.Join(dir, "python3.*"))
		for _, p := range paths {
			fi, err := os.Stat(p)
			if err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 && !strings.HasSuffix(p, "-config") {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	return out
}

// At asks the interpreter at a path, which must be one that Find could return: it
// is run, by root as the case may be.
func At(ctx context.Context, path string) (*Found, error) {
	if !slices.Contains(candidates(), path) {
		return nil, fmt.Errorf("%s is no Python in %s", path, strings.Join(dirs, " or "))
	}
	return ask(ctx, path)
}

func ask(ctx context.Context, path string) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-c", question)
	cmd.Env = []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("does not answer: %w", err)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		return nil, errors.New("answers nonsense")
	}
	v, err := pep440.Parse(a.Env.PythonFullVersion)
	if err != nil {
		return nil, err
	}
	list := tags.Compatible(tags.Python{Major: a.Minor[0], Minor: a.Minor[1], FreeThreaded: a.Free}, tags.Glibc{Major: a.Libc[0], Minor: a.Libc[1]}, a.Arch)
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(stable(a.Env))
	_ = json.NewEncoder(h).Encode(list)
	return &Found{
		Interpreter: packages.Interpreter{Path: path, Version: a.Env.PythonFullVersion, Tags: hex.EncodeToString(h.Sum(nil)[:6])},
		Env:         a.Env, Tags: tags.NewRanking(list), Version: v,
	}, nil
}

// stable leaves out what a kernel update changes: no project depends on that.
func stable(e pep508.Environment) pep508.Environment {
	e.PlatformRelease, e.PlatformVersion = "", ""
	return e
}
