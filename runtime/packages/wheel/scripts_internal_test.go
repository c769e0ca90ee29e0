package wheel

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// Scripts run by the real kernel, shell and Python, however long the path of
// the interpreter is and whatever it holds.
func TestShebangRuns(t *testing.T) {
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("no /usr/bin/python3 to run scripts with")
	}
	for _, folder := range []string{"short", "with space", strings.Repeat("long", 60), `quo"te$HOME` + "`id`"} {
		dir := filepath.Join(t.TempDir(), folder)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		interpreter := filepath.Join(dir, "python")
		if err := os.Symlink(python, interpreter); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(dir, "script")
		content, err := io.ReadAll(newShebang(strings.NewReader("#!python\nimport sys\nprint(sys.argv[1:])\n"), interpreter))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(script, content, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), script, "a b", "c").CombinedOutput()
		if err != nil || string(out) != "['a b', 'c']\n" {
			t.Errorf("%q: %v\n%s\n%s", folder, err, out, content)
		}
	}
}

func TestShebangIsOnlyRewrittenForPython(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"#!p":                  "#!p",
		"#!/usr/bin/python\nx": "#!/usr/bin/python\nx",
		"#!python":             "#!/i\n",
		"#!python\n":           "#!/i\n",
		"#!pythonw -E\r\nx\n":  "#!/i\nx\n",
		"#!python" + strings.Repeat("x", 9000) + "\ny": "#!/i\ny",
	} {
		got, err := io.ReadAll(newShebang(iotest.OneByteReader(strings.NewReader(in)), "/i"))
		if err != nil || string(got) != want {
			t.Errorf("%.20q became %.20q, %v; want %.20q", in, got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(newShebang(io.MultiReader(strings.NewReader("#!python"), iotest.ErrReader(broken)), "/i")); !errors.Is(err, broken) {
		t.Errorf("a read error is lost: %v", err)
	}
}

func TestCheckTotal(t *testing.T) {
	for _, c := range []struct {
		total  uint64
		packed int64
		ok     bool
	}{
		{0, 0, true}, {freeRatio, 1, true}, {freeRatio + 1, 1, false}, {freeRatio * 100, freeRatio, true},
		{maxUnpacked, maxUnpacked, true}, {maxUnpacked + 1, maxUnpacked, false},
	} {
		if err := checkTotal(c.total, c.packed); (err == nil) != c.ok {
			t.Errorf("%d from %d: %v", c.total, c.packed, err)
		}
	}
}
