package pip_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/generation/pip"
	"blast.example/blast/runtime/packages/wheel"
	"blast.example/blast/testfixtures/pypi/vectors"
)

// unpack installs the wheel for a Python and returns its folder of modules.
func unpack(t *testing.T, python string) string {
	t.Helper()
	name, content := pip.Wheel(python)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	target := wheel.Target{Python: python, Interpreter: "/venv/current/bin/python"}
	if _, err := wheel.Unpack(bytes.NewReader(content), int64(len(content)), name, root, target); err != nil {
		t.Fatal(err)
	}
	for _, launcher := range []string{"pip", "pip3", "pip" + python} {
		if fi, err := os.Stat(filepath.Join(dir, "bin", launcher)); err != nil || fi.Mode()&0o111 == 0 {
			t.Errorf("launcher %s: %v", launcher, err)
		}
	}
	return filepath.Join(dir, target.SitePackages())
}

func TestWheelIsReproducible(t *testing.T) {
	name, one := pip.Wheel("3.11")
	_, two := pip.Wheel("3.11")
	_, other := pip.Wheel("3.12")
	if !bytes.Equal(one, two) || bytes.Equal(one, other) || name != "pip-0-py3-none-any.whl" {
		t.Error("equal Pythons must give equal wheels, others not")
	}
}

// pythons are the interpreters of this machine, by version.
func pythons(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		paths, _ := filepath.Glob(filepath.Join(dir, "python3*"))
		for _, p := range paths {
			out, err := exec.CommandContext(t.Context(), p, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
			if v := strings.TrimSpace(string(out)); err == nil && v != "3.6" && v != "3.7" {
				found[v] = p
			}
		}
	}
	if len(found) == 0 {
		t.Skip("there is no Python")
	}
	return found
}

// Every Python that is there runs every command.
func TestEveryPython(t *testing.T) {
	for version, python := range pythons(t) {
		t.Run(version, func(t *testing.T) {
			site := unpack(t, version)
			for _, c := range []struct {
				args []string
				code int
				out  string
			}{
				{[]string{"--version"}, 0, "pip 0+blast from " + filepath.Join(site, "pip") + " (python " + version + ")\n"},
				{[]string{"list", "--path", site, "--format=json"}, 0, "["},
				{[]string{"freeze", "--all"}, 0, ""},
				{[]string{"show", "no-such-project"}, 1, ""},
				{[]string{"check"}, 0, "No broken requirements found.\n"},
				{[]string{"help"}, 0, "\nUsage:"},
				{[]string{"install", "no-such-project"}, 1, ""},
				{[]string{"download", "no-such-project"}, 1, ""},
				{[]string{"list", "--nonsense"}, 2, ""},
			} {
				cmd := exec.CommandContext(t.Context(), python, append([]string{"-S", "-W", "error", "-m", "pip"}, c.args...)...)
				cmd.Env = append(os.Environ(), "PYTHONPATH="+site, "PYTHONDONTWRITEBYTECODE=1")
				var errs strings.Builder
				cmd.Stderr = &errs
				out, _ := cmd.Output()
				if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.HasPrefix(string(out), c.out) {
					t.Errorf("pip %q: exit %d, %q, %s", c.args, code, out, errs.String())
				}
				if strings.Contains(errs.String(), "Traceback") {
					t.Errorf("pip %q: %s", c.args, errs.String())
				}
			}
		})
	}
}

// answers evaluates a Python expression over each value of a list.
func answers[T any](t *testing.T, expression string, values any) []T {
	t.Helper()
	in, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no Python")
	}
	const program = `
import json, sys
from pip import _markers, _requirements, _versions
def each(v):
    try:
        return eval(sys.argv[1])
    except ValueError:
        return None
print(json.dumps([each(v) for v in json.load(sys.stdin)]))`
	cmd := exec.CommandContext(t.Context(), python, "-S", "-c", program, expression)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+unpack(t, "3.11"))
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []T
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// What `pip check` knows of versions is what the PyPA's own library knows.
func TestVersions(t *testing.T) {
	type comparison struct {
		A, B string
		Want int
	}
	var cases []comparison
	vectors.Each(t, "version_cmp", func(_ *testing.T, c comparison) { cases = append(cases, c) })
	for i, got := range answers[*int](t, `(lambda a, b: (a > b) - (a < b))(_versions.Version(v["A"]).key(), _versions.Version(v["B"]).key())`, cases) {
		if got == nil || *got != cases[i].Want {
			t.Errorf("%+v: %v", cases[i], got)
		}
	}
}

func TestSpecifiers(t *testing.T) {
	type match struct {
		Spec, Version string
		Want          bool
	}
	var cases []match
	vectors.Each(t, "spec_contains_table", func(_ *testing.T, m match) { cases = append(cases, m) })
	vectors.Each(t, "spec_contains", func(_ *testing.T, m match) {
		if !strings.Contains(m.Spec, "===") { // compares the text, and installed versions have no blanks around them
			cases = append(cases, m)
		}
	})
	for i, got := range answers[*bool](t, `_requirements.Requirement("x" + v["Spec"]).met_by(v["Version"])`, cases) {
		if got == nil || *got != cases[i].Want {
			t.Errorf("%+v: %v", cases[i], got)
		}
	}
}

func TestMarkers(t *testing.T) {
	type marker struct {
		Marker string
		Env    map[string]string
		Want   any
	}
	var cases []marker
	vectors.Each(t, "marker_eval", func(_ *testing.T, m marker) { cases = append(cases, m) })
	for i, got := range answers[*bool](t, `[setattr(_markers, "environment", lambda env=v["Env"]: env), _markers.holds(v["Marker"])][1]`, cases) {
		if want, decided := cases[i].Want.(bool); decided && (got == nil || *got != want) {
			t.Errorf("%+v: %v", cases[i], got)
		}
	}
}

// What is refused says what to write, in the language of blast.hcl.
func TestInstallSaysWhatToWrite(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no Python")
	}
	site := unpack(t, "3.11")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"install", "Flask"}, []string{`package "flask" {}`, "blast apply", "read-only"}},
		{[]string{"install", "-q", "flask==2.2.2"}, []string{"package \"flask\" {\n      version = \"== 2.2.2\"\n    }"}},
		{[]string{"install", "--upgrade", "celery[redis]>=5,<6"}, []string{"version = \">= 5, < 6\"\n      extras  = [\"redis\"]", "blast apply --upgrade"}},
		{[]string{"install", `tomli; python_version > "3.1"`}, []string{`marker = "python_version > \"3.1\""`}},
		{[]string{"install", "-r", "requirements.txt"}, []string{"python {\n      manifest = \"requirements.txt\"\n    }"}},
		{[]string{"install", "-rdev.txt"}, []string{`manifest = "dev.txt"`}},
		{[]string{"install", "-e", "."}, []string{`manifest = "pyproject.toml"`}},
		{[]string{"install", "git+https://example.com/x"}, []string{"git+https://example.com/x names no project"}},
		{[]string{"install", "--index-url", "https://example.com/simple", "a"}, []string{`package "a" {}`}},
		{[]string{"install"}, []string{"at least one requirement"}},
		{[]string{"uninstall", "-y", "Flask"}, []string{`package "flask" ...`, "blast apply"}},
		{[]string{"download", "flask"}, []string{"pip download does not work here"}},
		{[]string{"cache", "purge"}, []string{"pip cache does not work here"}},
		{[]string{"list", "--outdated"}, []string{"blast plan --upgrade"}},
	} {
		cmd := exec.CommandContext(t.Context(), python, slices.Concat([]string{"-S", "-m", "pip"}, c.args)...)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+site)
		cmd.Dir = t.TempDir()
		var errs strings.Builder
		cmd.Stderr = &errs
		out, _ := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != 1 || len(out) > 0 {
			t.Errorf("pip %q: exit %d, %q", c.args, code, out)
		}
		for _, w := range c.want {
			if !strings.Contains(errs.String(), w) {
				t.Errorf("pip %q says\n%s\nwant %q", c.args, errs.String(), w)
			}
		}
	}
}
