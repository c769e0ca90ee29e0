package wheel_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/wheel"
)

// pipWheels are where Debian and the interpreter itself keep pip.
var pipWheels = []string{"/usr/share/python-wheels/*.whl", "/usr/lib/python3*/ensurepip/_bundled/*.whl"}

func bundled(t *testing.T) (pip string, all []string) {
	t.Helper()
	for _, pattern := range pipWheels {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	i := slices.IndexFunc(all, func(f string) bool { return strings.HasPrefix(filepath.Base(f), "pip-") })
	if i < 0 {
		t.Skip("no pip wheel to compare with: it comes with Debian's python3-venv")
	}
	return all[i], all
}

// TestLikePip installs the same wheels with pip and compares the trees. They
// may differ only in what is each installer's own.
func TestLikePip(t *testing.T) {
	const python = "/usr/bin/python3"
	pip, wheels := bundled(t)
	everything := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(everything, plain(
		entry{name: "demo/tool.sh", content: "#!/bin/sh\n", mode: 0o755},
		entry{name: "demo/__pycache__/x.cpython-311.pyc", content: "x"},
		entry{name: `demo/with, "quotes".txt`, content: "q"},
		entry{name: data + "purelib/demo/pure.py"}, entry{name: data + "platlib/demo/plat.so", content: "S"},
		entry{name: data + "headers/sub/demo.h", content: "H"}, entry{name: data + "data/etc/demo.conf", content: "D"},
		entry{name: data + "scripts/old", content: "#!python\nprint(1)\n", mode: 0o755},
		entry{name: data + "scripts/say", content: "a launcher made elsewhere", mode: 0o755},
		entry{name: info + "entry_points.txt", content: "[console_scripts]\nsay = demo:main [loud]\n[gui_scripts]\nshow=demo:main\n"},
	).withQuotedRecord().zip(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(wheels, everything) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			venv := filepath.Join(t.TempDir(), "venv")
			run(t, nil, python, "-I", "-m", "venv", "--without-pip", venv)
			version := run(t, nil, python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2], end='')")
			before := tree(t, venv)
			run(t, []string{"PYTHONPATH=" + pip}, filepath.Join(venv, "bin/python"), "-m", "pip", "install",
				"--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check", path)
			theirs := tree(t, venv)
			for name := range before {
				delete(theirs, name)
			}
			ours := unpackFile(t, path, wheel.Target{Python: version, Interpreter: filepath.Join(venv, "bin/python")})
			compare(t, ours, theirs)
		})
	}
}

// withQuotedRecord writes RECORD with names quoted where CSV needs it.
func (p parts) withQuotedRecord() parts {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, e := range p.entries {
		_ = w.Write([]string{e.name, hashOf(e.content), fmt.Sprint(len(e.content))})
	}
	_ = w.Write([]string{info + "RECORD", "", ""})
	w.Flush()
	p.record = b.String()
	return p
}

func unpackFile(t *testing.T, path string, target wheel.Target) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := wheel.Unpack(bytes.NewReader(b), int64(len(b)), filepath.Base(path), root, target); err != nil {
		t.Fatal(err)
	}
	return tree(t, dir)
}

func compare(t *testing.T, ours, theirs map[string]string) {
	t.Helper()
	for name := range theirs { // asked for by path, so pip says where from and that it was
		if base := filepath.Base(name); base == "direct_url.json" || base == "REQUESTED" {
			delete(theirs, name)
		}
	}
	if diff := cmp.Diff(names(theirs), names(ours)); diff != "" {
		t.Fatalf("files differ (-pip +ours):\n%s", diff)
	}
	if len(ours) < 5 {
		t.Errorf("only %d files", len(ours))
	}
	for name, want := range theirs {
		got := ours[name]
		switch {
		case filepath.Base(name) == "INSTALLER":
			if got != "blast\n" || want != "pip\n" {
				t.Errorf("INSTALLER %q, pip's %q", got, want)
			}
		case filepath.Base(name) == "RECORD":
			if diff := cmp.Diff(rows(t, want), rows(t, got)); diff != "" {
				t.Errorf("RECORD (-pip +ours):\n%s", diff)
			}
		case strings.HasPrefix(name, "bin/") && strings.Contains(want, "sys.exit("):
			wantFirst, _, _ := strings.Cut(want, "\n")
			gotFirst, _, _ := strings.Cut(got, "\n")
			if wantFirst != gotFirst || imported(want) != imported(got) || imported(got) == "" {
				t.Errorf("launcher %s:\n%s\npip's:\n%s", name, got, want)
			}
		case got != want:
			t.Errorf("%s is\n%.300s\npip's\n%.300s", name, got, want)
		}
	}
}

// rows are the lines of RECORD that both installers must write alike: all
// paths, and the hashes of what is not the installer's own.
func rows(t *testing.T, record string) []string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(record)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range all {
		base := filepath.Base(r[0])
		switch {
		case base == "direct_url.json" || base == "REQUESTED":
		case strings.Contains(r[0], ".data/scripts/"): // pip 23 keeps the row of a script that it leaves out
		case base == "INSTALLER" || strings.Contains(r[0], "/bin/"):
			out = append(out, r[0])
		default:
			out = append(out, strings.Join(r, "|"))
		}
	}
	slices.Sort(out)
	return out
}

func imported(script string) string {
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "from ") {
			return line
		}
	}
	return ""
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "PIP_CONFIG_FILE=/dev/null"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
