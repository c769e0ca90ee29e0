package pep508_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pep508"
)

const sha = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789"

// told writes lines and problems so that a test can list them.
func told(lines []pep508.Line, problems []pep508.Problem) (l, p []string) {
	for _, x := range lines {
		s := x.Place() + " " + x.Requirement.String()
		if x.Constraint {
			s += " (constraint)"
		}
		l = append(l, strings.TrimSpace(s+" "+strings.Join(x.Hashes, " ")))
	}
	for _, x := range problems {
		p = append(p, x.Place()+" "+x.Summary)
	}
	return l, p
}

func TestParseRequirementsTxt(t *testing.T) {
	text := "\ufeff# a comment\r\n" +
		"Flask>=2 # why\r\n" +
		"\n" +
		"requests[socks]==2.28.1 ; python_version >= \"3.8\" \\\n" +
		"    --hash=sha256:" + sha + " \\\n" +
		"    --hash sha512:" + sha + sha + "\n" +
		"yaml#1\n" + // no comment: no space before
		"a \\\n>=1\n" +
		"# no continuation \\\n" +
		"last===1.0-x"
	lines, problems := told(pep508.ParseRequirementsTxt("requirements.txt", []byte(text)))
	if d := cmp.Diff([]string{
		"requirements.txt:2 Flask>=2",
		`requirements.txt:4 requests[socks]==2.28.1; python_version >= "3.8" sha256:` + strings.ToLower(sha) + " sha512:" + strings.ToLower(sha+sha),
		"requirements.txt:8 a>=1",
		"requirements.txt:11 last===1.0-x",
	}, lines); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"requirements.txt:7 Invalid requirement"}, problems); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func TestUnsupportedLines(t *testing.T) {
	for line, want := range map[string]string{
		"-r base.txt":                            "Other files are not read here",
		"--constraint=c.txt":                     "Other files are not read here",
		"-r":                                     "No file named",
		"-e .":                                   "Option is not supported",
		"--editable ./lib":                       "Option is not supported",
		"-i https://example.com/simple":          "Option is not supported",
		"--extra-index-url=https://u:p@x/simple": "Option is not supported",
		"--no-such-thing":                        "Option is not supported",
		"-x":                                     "Option is not supported",
		"./lib":                                  "Requirement by path or URL is not supported",
		"/abs/lib.whl":                           "Requirement by path or URL is not supported",
		"lib-1.0-py3-none-any.whl":               "Requirement by path or URL is not supported",
		"git+https://u@example.com/x.git#egg=x":  "Requirement by path or URL is not supported",
		"https://example.com/x.whl":              "Requirement by path or URL is not supported",
		"name @ https://example.com/x.whl":       "Requirement by path or URL is not supported",
		"name@https://example.com/x.whl":         "Requirement by path or URL is not supported",
		"name>=${VERSION}":                       "Environment variable in a requirement",
		"name --hash=md5:00":                     "Invalid hash",
		"name --hash=sha256:" + sha[1:] + "z":    "Invalid hash",
		"name --hash":                            "Invalid hash",
		"name --config-settings=a=b":             "Option is not supported",
		"name --hash=sha256:" + sha + " --no-binary": "Option is not supported",
		"name>>1":  "Invalid requirement",
		"name\x00": "File is no text",
		"\xff":     "File is no text",
	} {
		lines, problems := pep508.ParseRequirementsTxt("r.txt", []byte(line+"\n"))
		if len(lines) != 0 || len(problems) != 1 || problems[0].Summary != want {
			t.Errorf("%q gave %v, %v; want %s", line, lines, problems, want)
			continue
		}
		if d := problems[0].Detail; !strings.HasSuffix(d, ".") || len(d) < 30 || !strings.HasPrefix(problems[0].String(), problems[0].Place()) {
			t.Errorf("%q: %s", line, problems[0])
		}
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	for _, line := range []string{
		"--index-url https://user:secret@example.com/simple", "-r https://user:secret@example.com/r.txt",
		"https://secret@example.com/x.whl", "name @ https://user:secret@example.com/x.whl", "name @ https://user:secret@example.com/ x",
	} {
		_, problems := pep508.ParseRequirementsTxt("r.txt", []byte(line))
		if len(problems) != 1 || strings.Contains(problems[0].String(), "secret") {
			t.Errorf("%q gave %v", line, problems)
		}
	}
}

func TestReadRequirementsFollows(t *testing.T) {
	fsys := fstest.MapFS{
		"requirements.txt": {Data: []byte("-r req/base.txt\nown\n-c limits.txt\n-rreq/base.txt\n")},
		"req/base.txt":     {Data: []byte("base>=1\n--requirement more.txt\n")},
		"req/more.txt":     {Data: []byte("more\n-c ../limits.txt\n")},
		"limits.txt":       {Data: []byte("base<2\n")},
		"circle.txt":       {Data: []byte("x\n-r circle2.txt\n")},
		"circle2.txt":      {Data: []byte("-r ./circle.txt\n")},
		"out.txt":          {Data: []byte("-r ../secret\n-r /etc/passwd\n-r https://example.com/r.txt\n-r missing.txt\n-r req\n")},
	}
	lines, problems := told(pep508.ReadRequirements(fsys, "requirements.txt"))
	if d := cmp.Diff([]string{
		"req/base.txt:1 base>=1", "req/more.txt:1 more", "limits.txt:1 base<2 (constraint)", "requirements.txt:2 own",
	}, lines); d != "" || len(problems) > 0 {
		t.Errorf("problems %v, lines (-want +got):\n%s", problems, d)
	}
	for name, want := range map[string][]string{
		"circle.txt": {"circle2.txt:1 Files name each other in a circle"},
		"out.txt": {
			"out.txt:1 File is outside of the project", "out.txt:2 File is outside of the project", "out.txt:3 Other files are not read here",
			"out.txt:4 File can't be read", "out.txt:5 File can't be read",
		},
		"none.txt": {"none.txt File can't be read"},
	} {
		_, problems := told(pep508.ReadRequirements(fsys, name))
		if d := cmp.Diff(want, problems); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestReadRequirementsStaysInside has a link lead out of a real project: os.Root
// refuses it, and follows one that stays inside.
func TestReadRequirementsStaysInside(t *testing.T) {
	outside, project := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret.txt"), "secret\n")
	write(filepath.Join(project, "base.txt"), "base\n")
	write(filepath.Join(project, "requirements.txt"), "-r good.txt\n-r bad.txt\n")
	link("base.txt", filepath.Join(project, "good.txt"))
	link(filepath.Join(outside, "secret.txt"), filepath.Join(project, "bad.txt"))
	root, err := os.OpenRoot(project)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	lines, problems := told(pep508.ReadRequirements(root.FS(), "requirements.txt"))
	if d := cmp.Diff([]string{"good.txt:1 base"}, lines); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"requirements.txt:2 File can't be read"}, problems); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func FuzzParseRequirementsTxt(f *testing.F) {
	f.Add([]byte("a>=1 # x\n-r b\nc \\\n --hash=sha256:00\n-i x\n--\n-\n\\\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, problems := pep508.ParseRequirementsTxt("r.txt", data)
		for _, l := range lines {
			if l.Number < 1 || l.Requirement.Name == "" {
				t.Errorf("%+v", l)
			}
		}
		for _, p := range problems {
			if p.Summary == "" || p.Detail == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
