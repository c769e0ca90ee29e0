//go:build linux

package generation

import (
	"strings"
	"testing"
)

// TestBytecodeOfAnother: Python believes bytecode more than the source beside it, so
// nobody brings it for a module of another project.
func TestBytecodeOfAnother(t *testing.T) {
	type files = map[string]string
	victim := files{site + "/v/__init__.py": "1", site + "/v/m.py": "2"}
	for name, c := range map[string]struct {
		evil files
		ok   bool
	}{
		"its own":       {files{site + "/e.py": "1", site + "/__pycache__/e.cpython-311.pyc": "x"}, true},
		"without":       {files{site + "/__pycache__/gone.cpython-311.pyc": "x"}, true},
		"of a module":   {files{site + "/v/__pycache__/m.cpython-311.pyc": "x"}, false},
		"of a package":  {files{site + "/v/__pycache__/__init__.cpython-311.pyc": "x"}, false},
		"optimized":     {files{site + "/v/__pycache__/m.cpython-311.opt-2.pyc": "x"}, false},
		"of what it is": {files{site + "/v/m.py": "2", site + "/v/__pycache__/m.cpython-311.opt-2.pyc": "x"}, true}, // made here: see wheel
	} {
		for _, parts := range [][]part{{having("evil", c.evil), having("victim", victim)}, {having("victim", victim), having("evil", c.evil)}} {
			_, err := arrange(site, nil, parts)
			if (err == nil) != c.ok || err != nil && (!strings.Contains(err.Error(), "victim and evil both have") || !strings.Contains(err.Error(), "bytecode")) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestModuleOfAnother: nor does anybody bring another kind of file for a module of
// another project, which Python would take first.
func TestModuleOfAnother(t *testing.T) {
	type files = map[string]string
	victim := files{site + "/v/__init__.py": "1", site + "/v/m.py": "2", site + "/single.py": "3", site + "/tests.py": "4"}
	for name, c := range map[string]struct {
		evil files
		ok   bool
	}{
		"another":                   {files{site + "/v/n.py": "x", site + "/v/m.txt": "x", site + "/v/mm.so": "x", "share/v/m.so": "x"}, true},
		"a plugin":                  {files{site + "/v/plugins/__init__.py": "x"}, true},
		"extension":                 {files{site + "/v/m.cpython-311-x86_64-linux-gnu.so": "x"}, false},
		"stable ABI":                {files{site + "/v/m.abi3.so": "x"}, false},
		"package":                   {files{site + "/v/m/__init__.py": "x"}, false},
		"package at the top":        {files{site + "/single/__init__.so": "x"}, false},
		"module for a package":      {files{site + "/v.py": "x"}, false},
		"bytecode without":          {files{site + "/v/m.pyc": "x"}, false},
		"stray":                     {files{site + "/tests/__init__.py": "x"}, true},
		"with a copy of the source": {files{site + "/v/m.py": "2", site + "/v/m.abi3.so": "x"}, false},
		"copies of all":             {victim, true},
	} {
		for _, parts := range [][]part{{having("evil", c.evil), having("victim", victim)}, {having("victim", victim), having("evil", c.evil)}} {
			_, err := arrange(site, nil, parts)
			if (err == nil) != c.ok || err != nil && (!strings.Contains(err.Error(), "victim") || !strings.Contains(err.Error(), "evil")) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
