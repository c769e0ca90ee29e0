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
