package interpreter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// TestOfTheHost asks the real interpreter.
func TestOfTheHost(t *testing.T) {
	py, err := interpreter.Find(t.Context(), "")
	if err != nil {
		t.Skip(err)
	}
	if py.Env.SysPlatform != "linux" || !strings.HasPrefix(py.Env.PythonFullVersion, py.Env.PythonVersion) || py.Interpreter.Tags == "" {
		t.Errorf("%+v", py)
	}
	if _, ok := py.Tags.Rank([]tags.Tag{{Python: "py3", ABI: "none", Platform: "any"}}); !ok {
		t.Error("can't use py3-none-any")
	}
	again, err := interpreter.Find(t.Context(), py.Env.PythonVersion)
	if err != nil || again.Interpreter != py.Interpreter {
		t.Errorf("asked for %s: %+v, %v", py.Env.PythonVersion, again, err)
	}
	_, err = interpreter.Find(t.Context(), "== 3.1.*")
	for _, want := range []string{`version = "== 3.1.*"`, py.Path, py.Env.PythonFullVersion, "change version in the python block"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %q", err, want)
		}
	}
}

// answer is what a good interpreter of a version prints.
func answer(version string) string {
	minor := strings.Split(version, ".")[1]
	return fmt.Sprintf(`{"env": {"implementation_name": "cpython", "python_full_version": %q, "python_version": "3.%s", "sys_platform": "linux"},
		"libc": [2, 36], "arch": "x86_64", "version": [3, %[2]s], "free": false}`, version, minor)
}

// fake makes a folder of programs that print, or run what begins with "#!".
func fake(t *testing.T, programs map[string]string) interpreter.Finder {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range programs {
		if !strings.HasPrefix(text, "#!") {
			text = "#!/bin/sh\ncat <<'END'\n" + text + "\nEND\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return interpreter.Finder{Dirs: []string{dir}, Trees: []string{dir}}
}

func TestFind(t *testing.T) {
	f := fake(t, map[string]string{
		"python3.9": answer("3.9.21"), "python3.11": answer("3.11.2"), "python3.12": answer("3.12.0rc1"),
		"python3.11-config": answer("3.11.9"), "python3": answer("3.11.9"), "python3.11t": answer("3.11.2"),
	})
	for wish, want := range map[string]string{
		"": "3.11.2", "3.9": "3.9.21", "3": "3.11.2", "3.11.2": "3.11.2", ">= 3.9 , < 3.11": "3.9.21",
		"~=3.9": "3.11.2", "3.12": "3.12.0rc1", "3.9.*": "3.9.21",
	} {
		py, err := f.Find(t.Context(), wish)
		if err != nil || py.Interpreter.Version != want || strings.HasSuffix(py.Path, "t") {
			t.Errorf("%q: %+v, %v; want %s", wish, py, err, want)
		}
	}
	if _, err := f.Find(t.Context(), ">= three"); err == nil || !strings.Contains(err.Error(), "can't be understood") {
		t.Errorf("%v", err)
	}
}

// TestHostileAnswers: one bad program neither hides the good one nor does harm.
func TestHostileAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                "",
		"no JSON":                "hello",
		"another thing":          "[]",
		"fails":                  "#!/bin/sh\nexit 3",
		"can't be run":           "#!/nonexistent/sh",
		"endless":                "#!/bin/sh\nwhile :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
		"python 2":               strings.ReplaceAll(answer("3.10.1"), "[3, 10]", "[2, 7]"),
		"a billion minors":       answer("3.1000000000.1"),
		"minus one":              strings.ReplaceAll(answer("3.10.1"), "[3, 10]", "[3, -1]"),
		"a billion C libraries":  strings.ReplaceAll(answer("3.10.1"), "[2, 36]", "[2, 1000000000]"),
		"path for a machine":     strings.ReplaceAll(answer("3.10.1"), "x86_64", "../../x"),
		"two versions":           strings.ReplaceAll(answer("3.10.1"), `"3.10.1"`, `"3.12.0"`),
		"no version":             strings.ReplaceAll(answer("3.10.1"), `"3.10.1"`, `"3.10.x"`),
		"another implementation": strings.ReplaceAll(answer("3.10.1"), "cpython", "pypy"),
	} {
		t.Run(name, func(t *testing.T) {
			f := fake(t, map[string]string{"python3.10": text, "python3.8": answer("3.8.1")})
			py, err := f.Find(t.Context(), "")
			if err != nil || py.Interpreter.Version != "3.8.1" {
				t.Fatalf("%+v, %v", py, err)
			}
			_, err = f.Find(t.Context(), ">=3.10")
			if err == nil || !strings.Contains(err.Error(), "python3.10, which ") || !strings.Contains(err.Error(), "3.8.1") || len(err.Error()) > 600 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNoneAtAll(t *testing.T) {
	f := fake(t, nil)
	if _, err := f.Find(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "apt-get install python3") {
		t.Errorf("%v", err)
	}
	f = fake(t, map[string]string{"python3.10": "x"})
	if _, err := f.Find(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "answers nonsense") {
		t.Errorf("%v", err)
	}
}

// TestLinks: one program under two names is one, and what a sandbox doesn't see
// is none.
func TestLinks(t *testing.T) {
	f := fake(t, map[string]string{"python3.8": answer("3.8.1")})
	outside := fake(t, map[string]string{"python3.12": answer("3.12.1")})
	for name, to := range map[string]string{
		"python3.9":  filepath.Join(f.Dirs[0], "python3.8"),
		"python3.12": filepath.Join(outside.Dirs[0], "python3.12"),
		"python3.13": filepath.Join(f.Dirs[0], "gone"),
	} {
		if err := os.Symlink(to, filepath.Join(f.Dirs[0], name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Find(t.Context(), "3.7")
	if err == nil || strings.Count(err.Error(), "3.8.1") != 1 || strings.Contains(err.Error(), "3.12") {
		t.Errorf("%v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fake(t, map[string]string{"python3.8": answer("3.8.1")}).Find(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDigest: what packages depend on changes it, an update of the kernel doesn't.
func TestDigest(t *testing.T) {
	env := pep508.Environment{PythonFullVersion: "3.11.2", PythonVersion: "3.11", PlatformRelease: "6.1"}
	list := tags.Compatible(tags.Python{Major: 3, Minor: 11}, tags.Glibc{Major: 2, Minor: 36}, "x86_64")
	digest := func(env pep508.Environment, list []tags.Tag) string {
		py, err := interpreter.New("/usr/bin/python3.11", env, list)
		if err != nil {
			t.Fatal(err)
		}
		return py.Interpreter.Tags
	}
	first := digest(env, list)
	env.PlatformRelease = "6.2"
	if digest(env, list) != first {
		t.Error("another kernel is another interpreter")
	}
	if digest(env, list[1:]) == first {
		t.Error("other tags are the same interpreter")
	}
	env.PythonFullVersion = "3.11.3"
	if digest(env, list) == first {
		t.Error("another version is the same interpreter")
	}
}

// Only what Find can find is run.
func TestAt(t *testing.T) {
	found, err := interpreter.Find(t.Context(), "")
	if err != nil {
		t.Skip(err)
	}
	again, err := interpreter.At(t.Context(), found.Path)
	if err != nil || again.Interpreter != found.Interpreter {
		t.Errorf("%v %v, want %v", again, err, found.Interpreter)
	}
	f := fake(t, map[string]string{"python3.11": answer("3.11.2")})
	for _, path := range []string{filepath.Join(f.Dirs[0], "python3.11"), "/bin/sh", "python3", ""} {
		if _, err := interpreter.At(t.Context(), path); err == nil {
			t.Errorf("%s was run", path)
		}
	}
}
