package sitehook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told puts what Blast says of files where the hook looks for it.
func told(p *python) {
	p.Helper()
	src := filepath.Join(p.dir, "_blast_files.py")
	b, err := os.ReadFile(src)
	if err != nil {
		p.Fatal(err)
	}
	file := filepath.Join(p.at, "told.json")
	text := strings.ReplaceAll(string(b), "/run/blast/files.json", file)
	if text == string(b) {
		p.Fatal("the hook looks elsewhere")
	}
	if err := os.WriteFile(src, []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
	p.file("told.json", strings.ReplaceAll(`{"rules":[
		{"path":"AT","kind":"bind","why":"the workspace block shows it read-only","fix":"write access = \"rw\""},
		{"path":"AT/.env","kind":"hide","why":"Blast always hides .env: secrets","fix":"write show = [\".env\"]"},
		{"path":"AT/keys","kind":"hide","why":"it holds\u001b[31m keys"},
		{"path":"AT/Makefile","kind":"read-only","why":"the workspace block keeps Makefile","fix":"remove it"}],
		"writable":["/workspace","/tmp"]}`, "AT", p.at))
}

// raises is a program that ends as an open does that the kernel refuses.
func raises(number, path string) []string {
	return []string{"-c", "import errno, os; raise OSError(errno." + number + ", os.strerror(errno." + number + "), " + path + ")"}
}

// TestNoteOnFiles: what ends the program says which line closed the path, whichever way it
// was asked for; what no line closed is left alone.
func TestNoteOnFiles(t *testing.T) {
	need(t)
	p := newPython(t)
	told(p)
	if err := os.Symlink(".env", filepath.Join(p.at, "link")); err != nil {
		t.Fatal(err)
	}
	p.file("sub/x", "")
	for _, c := range []struct{ number, path, want string }{
		{"EACCES", "'.env'", p.at + `/.env: Blast always hides .env: secrets. Open it: write show = [".env"]`},
		{"EACCES", "b'sub/../.env'", p.at + `/.env: Blast always hides`},
		{"EACCES", "'link'", p.at + `/.env: Blast always hides`},
		{"EBUSY", "'.env'", "Blast always hides"},
		{"EACCES", "'keys/a'", p.at + "/keys/a: it holds?[31m keys"},
		{"EROFS", "'Makefile'", "the workspace block keeps Makefile. Open it: remove it"},
		{"EBUSY", "'/'", "Blast always hides .env"},
		{"EROFS", "'new'", "the workspace block shows it read-only"},
		{"EROFS", "'/usr/x'", "/usr/x is read-only in the sandbox: write in /workspace, /tmp"},
		{"ENOENT", "'/models/a/b'", "/models is not in the sandbox: a mount block in blast.hcl shows a folder of the host there"},
		{"ENOENT", "'/models'", ""},
		{"ENOENT", "'absent'", ""},
		{"ENOENT", "'/usr/absent'", ""},
		{"EACCES", "'shut'", ""},
		{"EACCES", "'Makefile'", ""},
		{"EACCES", "3", ""},
		{"EACCES", "None", ""},
	} {
		out := p.run(raises(c.number, c.path)...)
		note := ""
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "blast: ") {
				note += line
			}
		}
		if c.want == "" && note != "" || c.want != "" && (!strings.Contains(note, c.want) || strings.Count(note, "blast: ") != 1) {
			t.Errorf("%s %s: %q\n%s", c.number, c.path, note, out)
		}
		if !strings.Contains(out, "Error") {
			t.Errorf("%s %s: %s", c.number, c.path, out)
		}
	}
	out := p.run("-c", "try:\n  open('absent')\nexcept OSError as e:\n  try:\n    raise PermissionError(13, 'Permission denied', '.env') from e\n  except OSError as f: raise ValueError('x') from f")
	if !strings.HasSuffix(out, `ValueError: x`+"\n"+"blast: "+p.at+`/.env: Blast always hides .env: secrets. Open it: write show = [".env"]`) {
		t.Errorf("of what led to it: %s", out)
	}
}

// TestBrokenNoteOnFiles: what is told may be missing, or anything: the program ends as it
// would.
func TestBrokenNoteOnFiles(t *testing.T) {
	need(t)
	p := newPython(t)
	told(p)
	for _, text := range []string{"", "null", "[]", `{"rules":[{}]}`, `{"rules":[{"path":7,"kind":"hide","why":[]}],"writable":3}`, strings.Repeat("[", 1<<16)} {
		p.file("told.json", text)
		out := p.run(raises("EACCES", "'.env'")...)
		if !strings.HasSuffix(out, "PermissionError: [Errno 13] Permission denied: '.env'") || strings.Contains(out, "_blast_files") {
			t.Errorf("%.40q: %s", text, out)
		}
	}
	if err := os.Remove(filepath.Join(p.at, "told.json")); err != nil {
		t.Fatal(err)
	}
	if out := p.run(raises("EACCES", "'.env'")...); !strings.HasSuffix(out, "'.env'") {
		t.Error(out)
	}
	if out := p.run("-c", "import sys; sys.excepthook = lambda *a: print('mine'); open('/absent/x')"); out != "mine" {
		t.Errorf("a program's own hook: %s", out)
	}
}
