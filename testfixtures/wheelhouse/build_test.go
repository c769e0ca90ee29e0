package wheelhouse_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
	"blast.example/blast/testfixtures/pypi"
	"blast.example/blast/testfixtures/wheelhouse"
)

var seeds = []string{"python3-flask", "python3-requests", "python3-yaml"}

// build makes the wheels; the first time on a machine it needs its Debian mirror.
func build(t *testing.T) (string, wheelhouse.Manifest) {
	t.Helper()
	dir := t.TempDir()
	if err := wheelhouse.Build(t.Context(), seeds, dir, func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	m, err := wheelhouse.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestBuildMakesRealWheels(t *testing.T) {
	dir, m := build(t)
	byName := map[string]wheelhouse.Entry{}
	for _, e := range m.Wheels {
		byName[e.Name] = e
		w, err := tags.ParseWheelName(e.File)
		if err != nil || w.Name != e.Name || w.Version.String() == "" {
			t.Errorf("%s: %+v, %v", e.File, w, err)
		}
	}
	for _, name := range []string{"flask", "requests", "pyyaml", "markupsafe", "jinja2", "werkzeug", "click", "itsdangerous", "urllib3", "idna", "certifi", "chardet"} {
		if byName[name].File == "" {
			t.Errorf("no wheel of %s", name)
		}
	}
	for _, name := range []string{"markupsafe", "pyyaml"} {
		if e := byName[name]; !e.Compiled || !strings.Contains(e.File, "-manylinux_2_") {
			t.Errorf("%s is not compiled: %+v", name, e)
		}
	}
	if e := byName["flask"]; !strings.HasSuffix(e.File, "-py3-none-any.whl") || e.From == "" {
		t.Errorf("%+v", e)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*.whl")); err != nil || len(files) != len(m.Wheels) {
		t.Errorf("%d wheels, %d in the manifest, %v", len(files), len(m.Wheels), err)
	}
}

// TestRequirementsCloseOver checks that each requirement which counts here is met
// by a wheel of the same folder: the metadata is whole, and true.
func TestRequirementsCloseOver(t *testing.T) {
	_, m := build(t)
	versions := map[string]pep440.Version{}
	for _, e := range m.Wheels {
		v, err := pep440.Parse(e.Version)
		if err != nil {
			t.Fatal(err)
		}
		versions[e.Name] = v
	}
	env := pep508.Environment{
		PythonVersion: m.Python, PythonFullVersion: m.Python + ".0", OSName: "posix", SysPlatform: "linux", PlatformSystem: "Linux",
		PlatformMachine: "x86_64", ImplementationName: "cpython", PlatformPythonImplementation: "CPython", ImplementationVersion: m.Python + ".0",
	}
	met := 0
	for _, e := range m.Wheels {
		for _, text := range e.Requires {
			r, err := pep508.Parse(text)
			if err != nil {
				t.Errorf("%s: %v", e.File, err)
				continue
			}
			if counts, err := r.Applies(env); err != nil || !counts {
				continue
			}
			if v, ok := versions[r.Key()]; !ok || !r.Specifiers.Contains(v) {
				t.Errorf("%s needs %s, and the folder has %q", e.File, text, v)
			}
			met++
		}
	}
	if met < 8 {
		t.Errorf("only %d requirements: Flask alone has four", met)
	}
	if i := slices.IndexFunc(m.Wheels, func(e wheelhouse.Entry) bool { return e.Name == "flask" }); !slices.ContainsFunc(m.Wheels[i].Requires, func(r string) bool { return strings.HasPrefix(strings.ToLower(r), "werkzeug") }) {
		t.Errorf("Flask doesn't need Werkzeug: %q", m.Wheels[i].Requires)
	}
}

func TestSecondBuildDoesNothing(t *testing.T) {
	dir, m := build(t)
	wheel := filepath.Join(dir, m.Wheels[0].File)
	before, err := os.Stat(wheel)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	if err := wheelhouse.Build(t.Context(), seeds, dir, func(string) { said++ }); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(wheel)
	if err != nil || !after.ModTime().Equal(before.ModTime()) || said > 0 {
		t.Errorf("written again: %v, %d messages", err, said)
	}
	if err := os.Remove(wheel); err != nil {
		t.Fatal(err)
	}
	if err := wheelhouse.Build(t.Context(), seeds, dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(wheel); err != nil {
		t.Errorf("a removed wheel didn't come back: %v", err)
	}
}

func TestUnknownPackage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := wheelhouse.Build(ctx, []string{"python3-flask", "python3-no-such-package-here"}, t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "python3-no-such-package-here") {
		t.Errorf("%v", err)
	}
	if err := wheelhouse.Build(ctx, nil, t.TempDir(), nil); err == nil {
		t.Error("no seeds, no error")
	}
}

// TestPipInstallsAndImports has pip install the wheels from the index, checking
// RECORD and tags by its own rules, and Python import them, the compiled one
// included.
func TestPipInstallsAndImports(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 with pip to install with")
	}
	dir, _ := build(t)
	x, err := pypi.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	root := pypi.Serve(t, x)
	venv := filepath.Join(t.TempDir(), "venv")
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "PIP_CONFIG_FILE=/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run(python, "-m", "venv", venv)
	run(filepath.Join(venv, "bin/pip"), "install", "--quiet", "--no-compile", "--index-url", root, "flask", "requests", "pyyaml")
	run(filepath.Join(venv, "bin/pip"), "check")
	const try = `import flask, requests, yaml, markupsafe._speedups
assert yaml.safe_load("a: [1, 2]") == {"a": [1, 2]}
app = flask.Flask("x")
app.add_url_rule("/", "x", lambda: flask.render_template_string("{{ '<b>' }}"))
print(app.test_client().get("/").text)
print(markupsafe._speedups.__file__)`
	out := run(filepath.Join(venv, "bin/python"), "-I", "-c", try)
	if !strings.HasPrefix(out, "&lt;b&gt;\n"+venv) {
		t.Errorf("Python said %q", out)
	}
	if out := run(filepath.Join(venv, "bin/flask"), "--version"); !strings.Contains(out, "Flask 2") && !strings.Contains(out, "Flask 3") {
		t.Errorf("flask --version said %q", out)
	}
	if i := slices.IndexFunc(x.Requests(), func(r pypi.Request) bool { return r.Status >= http.StatusBadRequest }); i >= 0 {
		t.Errorf("%+v", x.Requests()[i])
	}
}
