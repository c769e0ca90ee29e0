package wheelhouse

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDependencies(t *testing.T) {
	s := stanzas("Package: a\nVersion: 1:2.0-1\nDepends: python3-b (>= 1.2),\n python3-c:any, python3-d | python3 (>> 3.10), python3-e | libe\nDescription: x\n\nPackage: z\nVersion: 1\n")
	if len(s) != 2 || s[0].file() != "a_1%3a2.0-1_.deb" {
		t.Fatalf("%+v", s)
	}
	want := []dependency{{"python3-b", ">=", "1.2"}, {"python3-c", "", ""}, {"python3-e", "", ""}}
	if d := cmp.Diff(want, s[0].dependencies(), cmp.AllowUnexported(dependency{})); d != "" {
		t.Errorf("dependencies (-want +got):\n%s", d)
	}
}

func TestEggRequires(t *testing.T) {
	requires, extras := eggRequires("base>=1\n\n[:python_version < \"3\"]\nold\n\n[more]\nx\n[more:os_name == \"nt\" or os_name == \"ce\"]\ny\n")
	want := []string{
		"base>=1", `old ; python_version < "3"`, `x ; extra == "more"`,
		`y ; (os_name == "nt" or os_name == "ce") and extra == "more"`,
	}
	if d := cmp.Diff(want, requires); d != "" {
		t.Errorf("requirements (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"more"}, extras); d != "" {
		t.Errorf("extras (-want +got):\n%s", d)
	}
}

func TestRestoreTakesDependsOnlyForStrippedRequirements(t *testing.T) {
	named := map[string]string{"python3-lib": "Lib", "python3-self": "Self", "python3-odd": "odd"}
	depends := []dependency{
		{"python3-lib", ">=", "1:2.4+dfsg-1~"}, {"python3-self", "", ""}, {"python3-odd", "<<", "3"}, {"libc6", ">=", "2.14"}, {"python3-lib", ">=", "2.4-1"},
	}
	head := "Metadata-Version: 1.2\nName: Self\nVersion: 1"
	stripped, err := readMetadata(tree{"PKG-INFO": []byte(head + "\n\nText\n")})
	if err != nil {
		t.Fatal(err)
	}
	stripped.restore([]byte("[more]\nx\n"), depends, named)
	want := "Metadata-Version: 2.1\nName: Self\nVersion: 1\nProvides-Extra: more\nRequires-Dist: Lib>=2.4\nRequires-Dist: odd\nRequires-Dist: x ; extra == \"more\"\n\nText\n"
	if d := cmp.Diff(want, string(stripped.bytes())); d != "" || stripped.from != "depends" {
		t.Errorf("from %s (-want +got):\n%s", stripped.from, d)
	}
	whole, err := readMetadata(tree{"PKG-INFO": []byte(head + "\nRequires-Dist: own\n\nText\n")})
	if err != nil {
		t.Fatal(err)
	}
	whole.restore([]byte("other\n"), depends, named)
	if got := string(whole.bytes()); got != head+"\nRequires-Dist: own\n\nText\n" {
		t.Errorf("whole metadata became %q", got)
	}
}

func TestReadTreeResolvesLinksInside(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data string) {
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	const site = "./" + sitePackages
	add(tar.Header{Name: site + "/p/a.py", Typeflag: tar.TypeReg}, "a")
	add(tar.Header{Name: site + "/p/b.py", Typeflag: tar.TypeSymlink, Linkname: "a.py"}, "")
	add(tar.Header{Name: site + "/p/c.py", Typeflag: tar.TypeLink, Linkname: site + "/p/a.py"}, "")
	add(tar.Header{Name: site + "/p/out.js", Typeflag: tar.TypeSymlink, Linkname: "../../../../share/x.js"}, "")
	add(tar.Header{Name: "./etc/passwd", Typeflag: tar.TypeReg}, "no")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readTree(&b)
	if err != nil {
		t.Fatal(err)
	}
	want := tree{"p/a.py": []byte("a"), "p/b.py": []byte("a"), "p/c.py": []byte("a")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tree (-want +got):\n%s", d)
	}
}
