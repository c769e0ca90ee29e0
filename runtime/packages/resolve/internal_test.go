package resolve

import (
	"testing"

	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// TestForeignFiles: a page may list what it likes; what has another project's
// name, or none, is no version of this one.
func TestForeignFiles(t *testing.T) {
	py, err := interpreter.New("/usr/bin/python3.12", pep508.Environment{PythonFullVersion: "3.12.0", PythonVersion: "3.12"}, []tags.Tag{{Python: "py3", ABI: "none", Platform: "any"}})
	if err != nil {
		t.Fatal(err)
	}
	var files []index.File
	for _, name := range []string{"b-9-py3-none-any.whl", "../a-9-py3-none-any.whl", "a-9.whl", "", "a-9-py3-none-any.whl/", "b-9.tar.gz", "a-9.exe", "a-1-py3-none-any.whl"} {
		files = append(files, index.File{Name: name, URL: "https://x.example/" + name, SHA256: "00"})
	}
	p := newProject("a", "", files, py, nil)
	if len(p.candidates) != 1 || p.candidates[0].Version.String() != "1" || p.candidates[0].Unusable != "" {
		t.Errorf("%+v", p.candidates)
	}
}

func version(t *testing.T, s string) pep440.Version {
	t.Helper()
	v, err := pep440.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
