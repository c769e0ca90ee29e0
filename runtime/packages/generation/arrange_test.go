//go:build linux

package generation

import (
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/wheel"
)

const site = "lib/python3.11/site-packages"

// project is a part with files by path; "!" before the content makes it executable.
func having(name string, files map[string]string) part {
	p := part{name: name}
	for path, content := range files {
		content, executable := strings.CutPrefix(content, "!")
		p.files = append(p.files, wheel.File{Path: path, SHA256: content, Executable: executable})
	}
	return sorted(p)
}

func sorted(p part) part {
	for i := range p.files {
		for j := range p.files[:i] {
			if p.files[i].Path < p.files[j].Path {
				p.files[i], p.files[j] = p.files[j], p.files[i]
			}
		}
	}
	return p
}

func TestArrange(t *testing.T) {
	type files = map[string]string
	for name, c := range map[string]struct {
		a, b files
		want []string // parts of the error; none is no error
	}{
		"apart":               {files{site + "/a.py": "1"}, files{site + "/b.py": "1"}, nil},
		"same content":        {files{site + "/tests/__init__.py": "1"}, files{site + "/tests/__init__.py": "1"}, nil},
		"different content":   {files{site + "/x/__init__.py": "1"}, files{site + "/x/__init__.py": "2"}, []string{"a 1 and b 2", " x/__init__.py", "different content"}},
		"strays":              {files{site + "/tests/__init__.py": "1", site + "/LICENSE.txt": "1", site + "/__pycache__/conftest.cpython-311.pyc": "1"}, files{site + "/tests/__init__.py": "2", site + "/LICENSE.txt": "2", site + "/__pycache__/conftest.cpython-311.pyc": "2"}, nil},
		"like strays":         {files{site + "/testslib/a.py": "1"}, files{site + "/testslib/a.py": "2"}, []string{"testslib/a.py"}},
		"strays elsewhere":    {files{site + "/a/tests/b.py": "1"}, files{site + "/a/tests/b.py": "2"}, []string{"a/tests/b.py"}},
		"scripts":             {files{"bin/run": "1"}, files{"bin/run": "2"}, []string{"a 1 and b 2", "bin/run"}},
		"file and folder":     {files{site + "/x": "1"}, files{site + "/x/y.py": "1"}, []string{"a 1 and b 2", " x,", "folder"}},
		"folder and file":     {files{site + "/x/y.py": "1"}, files{site + "/x": "1"}, []string{"a 1 and b 2", " x,", "folder"}},
		"deep folder":         {files{"share/x/y/z": "1"}, files{"share/x": "1"}, []string{"share/x"}},
		"the interpreter":     {files{"bin/python3": "1"}, nil, []string{"a 1 and the environment itself", "bin/python3"}},
		"through lib64":       {nil, files{"lib64/python3.11/site-packages/x.py": "1"}, []string{"b 2 and the environment itself", "lib64"}},
		"the manifest":        {files{".blast.json": "1"}, nil, []string{".blast.json"}},
		"bytecode of one":     {files{site + "/m.py": "1", site + "/__pycache__/m.cpython-311.pyc": "x"}, files{site + "/m.py": "1", site + "/__pycache__/m.cpython-311.pyc": "y"}, nil},
		"bytecode of another": {files{site + "/m.py": "1", site + "/__pycache__/m.cpython-311.pyc": "x"}, files{site + "/__pycache__/m.cpython-311.pyc": "y"}, []string{"__pycache__/m.cpython-311.pyc"}},
		"many":                {files{"1": "a", "2": "a", "3": "a", "4": "a", "5": "a", "6": "a", "7": "a"}, files{"1": "b", "2": "b", "3": "b", "4": "b", "5": "b", "6": "b", "7": "b"}, []string{"have 5,", "and 2 more files"}},
	} {
		_, err := arrange(site, []string{"bin/python3", "lib64", ".blast.json"}, []part{having("a 1", c.a), having("b 2", c.b)})
		if (err != nil) != (c.want != nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", name, err, w)
			}
		}
	}
}

// Of strays the first project's counts, whole or in parts.
func TestArrangeKeepsTheFirstStray(t *testing.T) {
	l, err := arrange(site, nil, []part{having("a", map[string]string{site + "/tests/x.py": "1"}), having("b", map[string]string{site + "/tests/x.py": "2", site + "/tests/y.py": "2"})})
	if err != nil || l.files[site+"/tests/x.py"].part != 0 || l.files[site+"/tests/y.py"].part != 1 {
		t.Errorf("%+v %v", l.files, err)
	}
}

// Of two equal files, one that can be run counts.
func TestArrangeKeepsExecutable(t *testing.T) {
	for _, order := range [][2]string{{"1", "!1"}, {"!1", "1"}} {
		l, err := arrange(site, nil, []part{having("a", map[string]string{"bin/x": order[0]}), having("b", map[string]string{"bin/x": order[1]})})
		if err != nil || !l.files["bin/x"].file.Executable {
			t.Errorf("%q: %+v %v", order, l.files, err)
		}
	}
}
