package pylock_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/pylock"
)

var sum = strings.Repeat("ab", 32)

func example() pylock.File {
	return pylock.File{
		LockVersion: "1.0", RequiresPython: ">=3.11", CreatedBy: "blast",
		Environments: []string{`sys_platform == "linux"`},
		Packages: []pylock.Package{
			{Name: "click", Version: "8.1.3", Index: "https://pypi.org/simple", Wheels: []pylock.Wheel{
				{Name: "click-8.1.3-py3-none-any.whl", URL: "https://files.example/click-8.1.3-py3-none-any.whl", Size: 96588, SHA256: sum}}},
			{Name: "flask", Version: "3.0.3", Marker: `python_version >= "3.8"`, RequiresPython: ">=3.8", Index: "https://pypi.org/simple",
				Dependencies: []pylock.Dependency{{Name: "click"}, {Name: "werkzeug", Version: "3"}}, Direct: true, Extras: []string{"async", "dotenv"},
				Wheels: []pylock.Wheel{{Name: "flask-3.0.3-py3-none-any.whl", URL: "https://files.example/flask-3.0.3-py3-none-any.whl", SHA256: sum}}},
		},
		Fit: pylock.Fit{Requirements: "1234", Interpreter: "5678"},
	}
}

const text = `lock-version = "1.0"
environments = ["sys_platform == \"linux\""]
requires-python = ">=3.11"
created-by = "blast"

[[packages]]
name = "click"
version = "8.1.3"
index = "https://pypi.org/simple"

[[packages.wheels]]
name = "click-8.1.3-py3-none-any.whl"
url = "https://files.example/click-8.1.3-py3-none-any.whl"
size = 96588
hashes = { sha256 = "%[1]s" }

[[packages]]
name = "flask"
version = "3.0.3"
marker = "python_version >= \"3.8\""
requires-python = ">=3.8"
dependencies = [
    { name = "click" },
    { name = "werkzeug", version = "3" },
]
index = "https://pypi.org/simple"

[[packages.wheels]]
name = "flask-3.0.3-py3-none-any.whl"
url = "https://files.example/flask-3.0.3-py3-none-any.whl"
hashes = { sha256 = "%[1]s" }

[packages.tool.blast]
direct = true
extras = ["async", "dotenv"]

[tool.blast]
requirements = "1234"
interpreter = "5678"
`

func TestEncode(t *testing.T) {
	if diff := cmp.Diff(fmt.Sprintf(text, sum), string(pylock.Encode(example()))); diff != "" {
		t.Error(diff)
	}
}

func TestEncodeSortsWithoutTouchingItsInput(t *testing.T) {
	f := example()
	f.Packages[0], f.Packages[1] = f.Packages[1], f.Packages[0]
	if got := string(pylock.Encode(f)); got != fmt.Sprintf(text, sum) {
		t.Errorf("order of packages changes the file:\n%s", got)
	}
	if f.Packages[0].Name != "flask" {
		t.Error("Encode sorted the caller's list")
	}
}

func TestRoundTrip(t *testing.T) {
	for name, f := range map[string]pylock.File{
		"example": example(),
		"empty":   {LockVersion: "1.0", CreatedBy: "blast"},
		"strings": {LockVersion: "1.7", CreatedBy: "a\"b\\c\n\t\r\x00\x1f\x7f é\u2028😀", Environments: []string{"", "'"}},
	} {
		got, err := pylock.Decode(pylock.Encode(f))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDecodeWhatOthersWrite(t *testing.T) {
	f, err := pylock.Decode([]byte(`
lock-version = "1.0"
created-by = "another tool"
extras = ["x"]
dependency-groups = []
default-groups = ["dev"]

[[packages]]
name = "Zope.Interface"
version = "6.0"
sdist = { name = "zope.interface-6.0.tar.gz", upload-time = 2023-03-17T12:00:00Z, url = "https://files.example/z.tar.gz", size = 3, hashes = { sha256 = "00" } }
wheels = [
  { upload-time = 2023-03-17T12:00:00.5+01:00, url = "https://files.example/p/zope.interface-6.0-py3-none-any.whl?x=1", hashes = { md5 = "00", sha256 = "` + strings.ToUpper(sum) + `" } },
  { path = "./zope.interface-6.0-py2-none-any.whl", hashes = { sha256 = "` + sum + `" } },
]
attestation-identities = [{ kind = "GitHub", repository = "a/b" }]

[[packages]]
name = "only-source"
version = "1"
sdist = { path = "x.tar.gz", hashes = { sha256 = "00" } }

[[packages]]
name = "git"
vcs = { type = "git", url = "https://git.example/x", commit-id = "00" }

[[packages]]
name = "here"
directory = { path = ".", editable = true }

[[packages]]
name = "tarball"
archive = { url = "https://x.example/a.zip", hashes = { sha256 = "00" } }

[[packages]]
name = "nothing"
version = "1"

[[packages]]
name = "unhashed"
version = "1"
wheels = [{ url = "https://x.example/unhashed-1-py3-none-any.whl", hashes = { sha512 = "00" } }]

[[packages]]
name = "imposter"
version = "1"
wheels = [{ url = "https://x.example/other-1-py3-none-any.whl", hashes = { sha256 = "` + sum + `" } }]

[[packages]]
name = "scheme"
version = "1"
wheels = [{ url = "file:///x/scheme-1-py3-none-any.whl", hashes = { sha256 = "` + sum + `" } }]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"zope-interface": "", "only-source": "source distribution", "git": "version control", "here": "folder",
		"tarball": "archive", "nothing": "no file", "unhashed": "sha256", "imposter": "another project", "scheme": "not http"}
	if len(f.Packages) != len(want) {
		t.Errorf("%d packages", len(f.Packages))
	}
	for _, p := range f.Packages {
		if w, ok := want[p.Name]; !ok || !strings.Contains(p.Unusable, w) || w == "" && p.Unusable != "" {
			t.Errorf("%s: unusable because %q, want %q", p.Name, p.Unusable, w)
		}
	}
	z := f.Packages[0].Wheels
	if z[0].Name != "zope.interface-6.0-py3-none-any.whl" || z[0].SHA256 != sum || z[0].Unusable != "" {
		t.Errorf("wheel read as %+v", z[0])
	}
	if z[1].Unusable != "it has no url" {
		t.Errorf("wheel read as %+v", z[1])
	}
}

func TestDecodeRefuses(t *testing.T) {
	head := "lock-version = \"1.0\"\ncreated-by = \"x\"\n"
	many := head + strings.Repeat("[[packages]]\nname = \"a\"\n", 10_001)
	for in, want := range map[string]string{
		"":                                         "no lock-version",
		"lock-version = 1.0":                       "no lock-version",
		"lock-version = \"2.0\"\npackages = 5":     `lock-version "2.0"`,
		"lock-version = \"one\"":                   `lock-version "one"`,
		head + "[[packages]]\nversion = \"1\"":     `packages[0]: "" can't name`,
		head + "[[packages]]\nname = \"../x\"":     "can't name",
		head + "packages = 5":                      "line 3",
		head + "a = ":                              "line 3",
		head + "a = " + strings.Repeat("[", 1e5):   "nested",
		many:                                       "10001 packages",
		head + strings.Repeat("#", pylock.MaxSize): "at most 16777216",
		head + "[[packages]]\nname = \"a\"\nwheels = [{ size = -1 }]":                       "size -1",
		head + "[[packages]]\nname = \"a\"\ndependencies = [{ name = \"\" }]":               "depends on",
		head + "[[packages]]\nname = \"a\"\nwheels = [" + strings.Repeat("{},", 2001) + "]": "2001 wheels",
	} {
		_, err := pylock.Decode([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 500 {
			t.Errorf("%.60q: error %v, want %q", in, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(text, sum)))
	f.Add([]byte("lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nvcs = {}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := pylock.Decode(data)
		if err != nil {
			return
		}
		// What was read can be written, and from there it doesn't change any more.
		once := pylock.Encode(file)
		again, err := pylock.Decode(once)
		if err != nil {
			t.Fatalf("can't read back: %v\n%s", err, once)
		}
		if twice := pylock.Encode(again); string(twice) != string(once) {
			t.Errorf("not stable:\n%s\nthen\n%s", once, twice)
		}
	})
}
