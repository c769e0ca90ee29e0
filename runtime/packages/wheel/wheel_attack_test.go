package wheel_test

import (
	"strings"
	"testing"
)

// TestForeignBytecode: a wheel's own bytecode would be run in the place of its source,
// and of another project's with the same source. It is checked and left out.
func TestForeignBytecode(t *testing.T) {
	w := plain(
		entry{name: "demo/m.py", content: "a = 1\n"},
		entry{name: "demo/__pycache__/m.cpython-311.pyc", content: "evil"},
		entry{name: "demo/__pycache__/m.cpython-311.opt-1.pyc", content: "evil"},
		entry{name: data + "purelib/demo/__pycache__/__init__.cpython-311.pyc", content: "evil"},
		entry{name: data + "data/lib/python3.11/site-packages/demo/__pycache__/other.cpython-311.pyc", content: "evil"},
		entry{name: data + "platlib/demo/other.py", content: "y = 1\n"},
		entry{name: "demo/__pycache__/alone.cpython-311.pyc", content: "fine"},
	)
	dir, in, err := unpack(t, w.zip(t), file)
	if err != nil {
		t.Fatal(err)
	}
	files := tree(t, dir)
	for name, content := range files {
		if content == "evil" || strings.Contains(files[site+info+"RECORD"], "opt-1") {
			t.Errorf("%s is there", name)
		}
	}
	if files[site+"demo/m.py"] != "a = 1\n" || files[site+"demo/__pycache__/alone.cpython-311.pyc"] != "fine" {
		t.Errorf("control: %q", names(files))
	}
	checkRecord(t, files)
	checkInstalled(t, dir, in)
}
