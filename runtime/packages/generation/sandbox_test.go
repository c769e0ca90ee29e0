//go:build linux

package generation_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/testfixtures/pypi"
	"blast.example/blast/testfixtures/wheelhouse"
)

// inside is a world with a sandbox that shows its packages.
type inside struct {
	*world
	sandbox *sandbox.Sandbox
}

func newInside(t *testing.T, to []plan.Object, w *world) *inside {
	t.Helper()
	w.install(t, to)
	spec := sandboxtest.Spec(t, w.env)
	spec.Packages = filepath.Join(w.env.Dir, "packages")
	s, err := sandbox.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return &inside{w, s}
}

func (in *inside) request(args ...string) command.Request {
	return command.Request{Args: args, Dir: "/", Env: []string{"PATH=" + packages.VenvDir + "/current/bin:/usr/bin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8"}}
}

// run runs a command in the sandbox and returns its exit code and all it printed.
func (in *inside) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	do(t, err)
	text := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(r); text <- b }()
	req := in.request(args...)
	req.Stdout, req.Stderr = w, w
	code, err := command.Run(context.Background(), sandbox.SocketPath(in.env, in.sandbox.ID), req)
	_ = w.Close()
	out := <-text
	_ = r.Close()
	do(t, err)
	return code, string(out)
}

// real are wheels of real projects, with compiled modules among them.
func (w *world) real(t *testing.T) []packages.Pinned {
	t.Helper()
	dir := t.TempDir()
	if err := wheelhouse.Build(t.Context(), []string{"python3-flask", "python3-requests", "python3-yaml"}, dir, nil); err != nil {
		t.Skipf("no real projects: %v", err)
	}
	m, err := wheelhouse.ReadManifest(dir)
	do(t, err)
	if m.Python != w.found.Env.PythonVersion {
		t.Skipf("real projects are for Python %s, and this is %s", m.Python, w.found.Env.PythonVersion)
	}
	var ps []packages.Pinned
	for _, e := range m.Wheels {
		b, err := os.ReadFile(filepath.Join(dir, e.File))
		do(t, err)
		ps = append(ps, w.pinFile(t, e.Name, e.Version, e.File, b))
	}
	return ps
}

// Real projects work inside, and nobody inside can change them.
func TestRealProjects(t *testing.T) {
	w := worldOf(t, sandboxtest.Env(t))
	ps := w.real(t)
	in := newInside(t, object(w.set("real\n", ps...)), w)
	venv := packages.VenvDir + "/current"
	site := venv + "/lib/python" + w.found.Env.PythonVersion + "/site-packages"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"python", "-c", "import sys; print(sys.prefix, sys.executable)"}, 0, venv + " " + venv + "/bin/python"},
		{[]string{"flask", "--version"}, 0, "Flask 2"},
		{[]string{"python", "-c", "import markupsafe._speedups as m; print(m.__file__)"}, 0, site + "/markupsafe/_speedups"},
		{[]string{"python", "-c", "import yaml; print(yaml.load('a: 1', yaml.CSafeLoader))"}, 0, "{'a': 1}"},
		{[]string{"python", "-c", "import flask; print(flask.__cached__)"}, 0, site + "/flask/__pycache__/"},
		{[]string{"pip", "list"}, 0, "\nFlask "},
		{[]string{"pip3", "check"}, 0, "No broken requirements found."},
		{[]string{"python", "-m", "pip", "show", "flask"}, 0, "\nLocation: " + site + "\n"},
		{[]string{"pip", "install", "flask"}, 0, "Requirement already satisfied: flask in " + site},
		{[]string{"pip", "install", "flask>=99"}, 1, "version = \">= 99\""},
		{[]string{"sh", "-c", "echo >" + site + "/flask/__init__.py"}, 2, "Read-only file system"},
		{[]string{"sh", "-c", "rm -f " + venv}, 1, "Read-only file system"},
		{[]string{"touch", "/venv/x"}, 1, "Read-only file system"},
		{[]string{"cat", venv + "/.blast.json"}, 1, "Permission denied"},
		{[]string{"find", "/venv/", "-not", "-readable"}, 0, ".blast.json"},
		{[]string{"find", "/venv/", "-writable", "-not", "-type", "l"}, 0, ""},
	} {
		code, out := in.run(t, c.args...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%q: %d %q, want %d %q", c.args, code, out, c.code, c.want)
		}
		if c.want == "" && out != "" || c.args[0] == "find" && strings.Count(out, "\n") > 1 {
			t.Errorf("%q: %s", c.args, out)
		}
	}
}

// Bytecode is there for all: no run tries to write any.
func TestNobodyWritesBytecode(t *testing.T) {
	w := worldOf(t, sandboxtest.Env(t))
	in := newInside(t, object(w.set("real\n", w.real(t)...)), w)
	const watch = `
import os, sys
tried = []
def hook(event, args):
    if event == "open" and str(args[0]).startswith("/venv") and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        tried.append(args[0])
    if event in ("os.mkdir", "os.rename") and str(args[0]).startswith("/venv"):
        tried.append(args[0])
sys.addaudithook(hook)
import flask, yaml, jinja2, werkzeug.serving, click
import pip._command, pip.__main__, pip._show, pip._check
print(sys.dont_write_bytecode, tried, open("/venv/current/pyvenv.cfg").readline())
try:
    open("/venv/x", "w")
except OSError:
    print(tried)
`
	code, out := in.run(t, "python", "-c", watch)
	if code != 0 || !strings.HasPrefix(out, "False [] home = ") || !strings.HasSuffix(out, "\n['/venv/x']\n") {
		t.Errorf("%d %s", code, out)
	}
}

// Packages are switched under a program that runs: what it has stays, what it asks
// for later comes from the new ones.
func TestSwitchUnderARunningProgram(t *testing.T) {
	w := worldOf(t, sandboxtest.Env(t))
	lazy := func(version string) packages.Pinned {
		return w.pin(t, pypi.Wheel{Name: "lazy", Version: version, Files: map[string]string{
			"lazy/__init__.py": "version = " + version + "\n", "lazy/early.py": "version = " + version + "\n", "lazy/late.py": "version = " + version + "\n", "lazy/data.txt": version,
		}})
	}
	a, b := object(w.set("a\n", lazy("1"))), object(w.set("b\n", lazy("2")))
	in := newInside(t, a, w)
	const program = `
import sys, lazy.early
data = open(lazy.__path__[0] + "/data.txt")
print("ready", flush=True)
for step in sys.stdin:
    if step == "switched\n":
        import lazy.late
        print(lazy.version, lazy.early.version, lazy.late.version, open(lazy.__path__[0] + "/data.txt").read(), flush=True)
    else:
        print(data.read(), flush=True)
`
	stdinR, stdinW, err := os.Pipe()
	do(t, err)
	stdoutR, stdoutW, err := os.Pipe()
	do(t, err)
	req := in.request("python", "-c", program)
	req.Stdin, req.Stdout, req.Stderr = stdinR, stdoutW, os.Stderr
	ended := make(chan string, 1)
	go func() {
		code, err := command.Run(context.Background(), sandbox.SocketPath(in.env, in.sandbox.ID), req)
		_ = stdoutW.Close()
		ended <- fmt.Sprint(code, err)
	}()
	lines := bufio.NewReader(stdoutR)
	say := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); err != nil || got != want+"\n" {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	say("ready")
	w.apply(t, a, b)
	_, err = io.WriteString(stdinW, "switched\n")
	do(t, err)
	say("1 1 2 2")
	w.commit(t, a, b)
	_, err = io.WriteString(stdinW, "committed\n")
	do(t, err)
	say("1") // of a file that has no name any more
	do(t, stdinW.Close())
	if got := <-ended; got != "0 <nil>" {
		t.Error(got)
	}
	if code, out := in.run(t, "python", "-c", "import lazy.late; print(lazy.late.version)"); code != 0 || out != "2\n" {
		t.Errorf("%d %s", code, out)
	}
}

// Blast's pip tells what the real one tells.
func TestPipIsLikePip(t *testing.T) {
	w := newWorld(t)
	real, err := exec.LookPath("python3")
	if err != nil || exec.CommandContext(t.Context(), real, "-m", "pip", "--version").Run() != nil {
		t.Skip("there is no real pip")
	}
	broken := pypi.Wheel{Name: "Broken.Thing", Version: "1.0rc1", Requires: []string{"flask>=99", "not-there", "old; python_version < '3'", "extra; extra == 'more'"}, Files: map[string]string{"broken.py": ""}}
	w.install(t, object(w.set("real\n", append(w.real(t), w.pin(t, broken))...)))
	theirs := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), real, append([]string{"-m", "pip", "--disable-pip-version-check"}, args...)...)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+w.site(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONSAFEPATH=1")
		out, _ := cmd.Output() // a check fails, and says so in what it prints
		return string(out)
	}
	ours := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), w.current("bin/python"), append([]string{"-m", "pip", "--disable-pip-version-check"}, args...)...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}
		out, _ := cmd.Output()
		return string(out)
	}
	// The real one runs itself from PYTHONPATH unless Blast's is out of the way.
	do(t, os.Rename(w.site("pip"), filepath.Join(t.TempDir(), "pip-of-blast")))
	type listed struct{ Name, Version string }
	want := map[string]string{}
	for _, args := range [][]string{
		{"list", "--path", w.site()}, {"list", "--path", w.site(), "--format=json"}, {"list", "--path", w.site(), "--format=freeze"},
		{"list", "--path", w.site(), "--format", "columns", "--exclude", "click"}, {"list", "--path", w.site(), "--not-required"},
		{"freeze", "--path", w.site()}, {"show", "Flask"}, {"show", "pyyaml", "markupsafe"}, {"show", "-f", "broken_thing"}, {"show", "not-there"},
	} {
		want[strings.Join(args, " ")] = theirs(args...)
	}
	theirCheck := theirs("check")
	w.apply(t, nil, object(w.set("real\n", append(w.real(t), w.pin(t, broken))...))) // whole again
	requiredBy := regexp.MustCompile(`(?m)^Required-by: .*`)                         // the real one's own Python has projects, too
	for args, want := range want {
		got := ours(strings.Fields(args)...)
		if requiredBy.ReplaceAllString(got, "") != requiredBy.ReplaceAllString(want, "") {
			t.Errorf("pip %s\n%s\nthe real one\n%s", args, got, want)
		}
	}
	if got := requiredBy.FindString(ours("show", "markupsafe")); got != "Required-by: Jinja2, Werkzeug" {
		t.Error(got)
	}
	var all []listed
	if err := json.Unmarshal([]byte(ours("list", "--format=json")), &all); err != nil || len(all) < 7 {
		t.Errorf("%v %v", all, err)
	}
	for line := range strings.Lines(ours("check")) {
		if !strings.Contains(theirCheck, line) {
			t.Errorf("check says %q, the real one %q", line, theirCheck)
		}
	}
	if n := strings.Count(ours("check"), "broken-thing 1.0rc1"); n != 2 {
		t.Error(ours("check"))
	}
}
