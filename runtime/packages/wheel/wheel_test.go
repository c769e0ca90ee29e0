package wheel_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/wheel"
)

const site = "lib/python3.11/site-packages/"

func TestUnpack(t *testing.T) {
	w := plain(
		entry{name: "demo/", mode: os.ModeDir | 0o755},
		entry{name: "demo/tool.sh", content: "#!/bin/sh\n", mode: 0o755},
		entry{name: data + "purelib/demo/pure.py", content: "P"},
		entry{name: data + "platlib/demo/plat.so", content: "S"},
		entry{name: data + "headers/demo.h", content: "H"},
		entry{name: data + "data/share/demo/x.txt", content: "D"},
		entry{name: data + "scripts/old", content: "#!pythonw -x\nprint(1)\n"},
		entry{name: data + "scripts/sh", content: "#!/bin/sh\necho\n"},
		entry{name: data + "scripts/say", content: "a launcher made elsewhere"},
		entry{name: info + "INSTALLER", content: "somebody else\n"},
		entry{name: info + "direct_url.json", content: "{}"},
		entry{name: info + "RECORD.jws", content: "{}", unlisted: true},
		entry{name: info + "entry_points.txt", content: "[console_scripts]\n# talk\nsay = demo:main [loud]\n\n[other]\nx = not for us\n[gui_scripts]\nshow=demo.gui : App.run\n"},
	)
	dir, in, err := unpack(t, w.zip(t), file)
	if err != nil {
		t.Fatal(err)
	}
	files := tree(t, dir)
	want := []string{
		"bin/old", "bin/say", "bin/sh", "bin/show",
		"include/site/python3.11/demo/demo.h",
		site + "demo-1.0.dist-info/INSTALLER", site + "demo-1.0.dist-info/METADATA", site + "demo-1.0.dist-info/RECORD",
		site + "demo-1.0.dist-info/WHEEL", site + "demo-1.0.dist-info/entry_points.txt",
		site + "demo/__init__.py", site + "demo/plat.so", site + "demo/pure.py", site + "demo/tool.sh",
		"share/demo/x.txt",
	}
	if diff := cmp.Diff(want, names(files)); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"bin/old":                 "x #!/venv/current/bin/python\nprint(1)\n",
		"bin/sh":                  "x #!/bin/sh\necho\n",
		"bin/say":                 "x #!/venv/current/bin/python\n# -*- coding: utf-8 -*-\nimport sys\n\nfrom demo import main\n\nif __name__ == \"__main__\":\n    sys.exit(main())\n",
		"bin/show":                "x #!/venv/current/bin/python\n# -*- coding: utf-8 -*-\nimport sys\n\nfrom demo.gui import App\n\nif __name__ == \"__main__\":\n    sys.exit(App.run())\n",
		site + info + "INSTALLER": "blast\n",
		site + "demo/tool.sh":     "x #!/bin/sh\n",
		site + "demo/pure.py":     "P",
	} {
		if files[name] != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, files[name], want)
		}
	}
	checkRecord(t, files)
	checkInstalled(t, dir, in)
}

// checkRecord holds RECORD against the files.
func checkRecord(t *testing.T, files map[string]string) {
	t.Helper()
	listed := map[string]bool{}
	for line := range strings.Lines(files[site+info+"RECORD"]) {
		f := strings.Split(strings.TrimSpace(line), ",")
		name := filepath.Join(site, f[0])
		listed[name] = true
		content, ok := strings.CutPrefix(files[name], "x ")
		if !ok {
			content = files[name]
		}
		if f[1] != "" && f[1] != hashOf(content) || f[1] == "" && f[0] != info+"RECORD" {
			t.Errorf("RECORD has %q", line)
		}
	}
	for name := range files {
		if !listed[name] {
			t.Errorf("RECORD lacks %s", name)
		}
	}
}

// checkInstalled holds the result against the files.
func checkInstalled(t *testing.T, dir string, in wheel.Installed) {
	t.Helper()
	if in.Name != "Demo" || in.Version != "1.0" || in.Info != site+"demo-1.0.dist-info" {
		t.Errorf("installed %q %q in %q", in.Name, in.Version, in.Info)
	}
	for i, f := range in.Files {
		if i > 0 && in.Files[i-1].Path >= f.Path {
			t.Errorf("%s is out of order", f.Path)
		}
		fi, err := os.Lstat(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != f.Mode() || fi.Size() != f.Size || !fi.ModTime().Equal(wheel.Time) || fi.Mode()&0o222 != 0 {
			t.Errorf("%s: %v, %d bytes, of %v; want %v, %d bytes", f.Path, fi.Mode(), fi.Size(), fi.ModTime(), f.Mode(), f.Size)
		}
	}
	if len(in.Files) != len(tree(t, dir)) {
		t.Errorf("%d files listed, %d there", len(in.Files), len(tree(t, dir)))
	}
}

// Each of these stands beside TestUnpack, in which its like is accepted.
func TestRefuses(t *testing.T) {
	ep := func(text string) parts { return plain(entry{name: info + "entry_points.txt", content: text}) }
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		wheel parts
		want  string
	}{
		"parent":               {plain(entry{name: "../evil.py"}), `part ".."`},
		"parent inside":        {plain(entry{name: "demo/../../evil.py"}), `part ".."`},
		"parent in data":       {plain(entry{name: data + "data/../../../evil"}), `part ".."`},
		"absolute":             {plain(entry{name: "/etc/evil"}), "absolute"},
		"absolute in data":     {plain(entry{name: data + "scripts//etc/evil"}), `part ""`},
		"backslash":            {plain(entry{name: `demo\..\evil.py`}), `has a "\"`},
		"drive":                {plain(entry{name: `C:\evil.py`}), `has a "\"`},
		"dot":                  {plain(entry{name: "demo/./x.py"}), `part "."`},
		"control":              {plain(entry{name: "demo/\x1b[2J.py"}), "control character"},
		"nul":                  {plain(entry{name: "demo/a\x00b.py"}), "control character"},
		"not utf-8":            {plain(entry{name: "demo/\xff.py"}), "UTF-8"},
		"long":                 {plain(entry{name: long}), "255 bytes"},
		"symlink":              {plain(entry{name: "demo/link", content: "/etc/passwd", mode: os.ModeSymlink | 0o777}), "symbolic link"},
		"device":               {plain(entry{name: "demo/null", mode: os.ModeDevice | os.ModeCharDevice | 0o666}), "no regular file"},
		"fifo":                 {plain(entry{name: "demo/pipe", mode: os.ModeNamedPipe | 0o666}), "no regular file"},
		"duplicate":            {plain(entry{name: "demo/__init__.py", content: "evil"}), "there twice"},
		"case":                 {plain(entry{name: "Demo/__init__.py"}), "but for case"},
		"unicode case":         {plain(entry{name: "demo/\u212a.py"}, entry{name: "demo/k.py"}), "but for case"},
		"file and folder":      {plain(entry{name: "demo"}), "both a file and a folder"},
		"data over module":     {plain(entry{name: data + "purelib/demo/__init__.py"}), "there twice"},
		"data over bin":        {plain(entry{name: data + "scripts/x"}, entry{name: data + "data/bin/X"}), "but for case"},
		"unknown scheme":       {plain(entry{name: data + "nonsense/x"}), "no folder"},
		"data without scheme":  {plain(entry{name: data + "x"}), "in no folder"},
		"script in a folder":   {plain(entry{name: data + "scripts/a/b"}), "in a folder"},
		"data of another":      {plain(entry{name: "other-1.0.data/scripts/x"}), "another project"},
		"two infos":            {plain(entry{name: "demo-1.0.0.dist-info/X"}), "two .dist-info"},
		"info of another":      {plain(entry{name: "other-2.0.dist-info/METADATA"}), "two .dist-info"},
		"other name":           {plain().with(info+"METADATA", "Name: other\nVersion: 1.0\n"), `"other" "1.0"`},
		"other version":        {plain().with(info+"METADATA", "Name: demo\nVersion: 1.1\n"), `"demo" "1.1"`},
		"no name":              {plain().with(info+"METADATA", "\nName: demo\nVersion: 1.0\n"), `"" ""`},
		"no METADATA":          {plain().without(info + "METADATA"), "no demo-1.0.dist-info/METADATA"},
		"no WHEEL":             {plain().without(info + "WHEEL"), "no demo-1.0.dist-info/WHEEL"},
		"future format":        {plain().with(info+"WHEEL", "Wheel-Version: 2.0\n"), `Wheel-Version "2.0"`},
		"no format":            {plain().with(info+"WHEEL", "Tag: x\n"), `Wheel-Version ""`},
		"no RECORD":            {parts{plain().entries, "none"}, "no RECORD"},
		"RECORD lacks a file":  {plain(entry{name: "demo/x.py", unlisted: true}), "RECORD doesn't list"},
		"RECORD has more":      {parts{plain().entries, plain().recordText() + "demo/gone.py," + hashOf("") + ",0\n"}, "not there"},
		"RECORD wrong hash":    {parts{plain().entries, strings.Replace(plain().recordText(), hashOf(plain().entries[0].content), hashOf("x"), 1)}, "sha256 is not the one"},
		"RECORD wrong size":    {parts{plain().entries, strings.Replace(plain().recordText(), ",42\n", ",41\n", 1)}, "41 as RECORD says"},
		"RECORD without hash":  {parts{plain().entries, strings.Replace(plain().recordText(), hashOf(plain().entries[0].content), "", 1)}, "no hash"},
		"RECORD md5":           {parts{plain().entries, strings.Replace(plain().recordText(), hashOf(plain().entries[0].content), "md5=CY9rzUYh03PK3k6DJie09g", 1)}, "no hash"},
		"RECORD short hash":    {parts{plain().entries, strings.Replace(plain().recordText(), hashOf(plain().entries[0].content), "sha256=CY9r", 1)}, "no sha256"},
		"RECORD twice":         {parts{plain().entries, plain().recordText() + info + "RECORD,,\n"}, "there twice"},
		"RECORD two fields":    {parts{plain().entries, plain().recordText() + "x,y\n"}, "2 fields"},
		"RECORD bad size":      {parts{plain().entries, strings.Replace(plain().recordText(), ",42\n", ",-1\n", 1)}, `size "-1"`},
		"RECORD no CSV":        {parts{plain().entries, plain().recordText() + "\"x\n"}, "read RECORD"},
		"replaced, wrong hash": {parts{plain(entry{name: info + "INSTALLER", content: "pip\n"}).entries, plain().recordText() + info + "INSTALLER," + hashOf("x") + ",4\n"}, "not the one"},
		"launcher path":        {ep("[console_scripts]\n../../evil = demo:main\n"), "can't name"},
		"launcher folder":      {ep("[console_scripts]\na/b = demo:main\n"), "can't name"},
		"launcher code":        {ep("[console_scripts]\nx = demo:main();evil\n"), "module:function"},
		"launcher newline":     {ep("[console_scripts]\nx = os;evil:main\n"), "module:function"},
		"launcher no function": {ep("[console_scripts]\nx = demo\n"), "module:function"},
		"launcher twice":       {ep("[console_scripts]\nx = demo:a\nx = demo:b\n"), "there twice"},
		"zip bomb":             {plain(entry{name: "demo/zeros", content: strings.Repeat("\x00", 80<<20)}), "100-fold"},
	} {
		dir, _, err := unpack(t, c.wheel.zip(t), file)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "unpack "+file) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if es, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(es) != 1 {
			t.Errorf("%s: left the folder: %v %v", name, es, err)
		}
	}
}

func TestRefusesFilesThatAreNoWheel(t *testing.T) {
	good := plain().zip(t)
	for name, c := range map[string]struct {
		file, want string
		content    []byte
	}{
		"no zip":        {file, "read zip", []byte("hello")},
		"empty":         {file, "read zip", nil},
		"cut off":       {file, "read zip", good[:len(good)/2]},
		"file name":     {"demo.zip", ".whl", good},
		"other project": {"other-1.0-py3-none-any.whl", "another project", good},
		"other version": {"demo-1.1-py3-none-any.whl", "another project", good},
	} {
		if _, _, err := unpack(t, c.content, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	for _, name := range []string{file, "Demo-1.0.0-py2.py3-none-any.whl", "demo-1.0-2-py3-none-any.whl"} {
		if _, _, err := unpack(t, good, name); err != nil {
			t.Errorf("control %s: %v", name, err)
		}
	}
}

// A flipped bit in a file's packed content is noticed, unless it unpacks to the
// same (the bit that says whether another block follows may).
func TestFlippedContentIsNoticed(t *testing.T) {
	good := plain().zip(t)
	dir, _, err := unpack(t, good, file)
	if err != nil {
		t.Fatal(err)
	}
	whole, noticed := tree(t, dir), 0
	for i := 30 + len("demo/__init__.py"); i < 80; i++ {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		dir, _, err := unpack(t, bad, file)
		if err != nil {
			noticed++
		} else if !cmp.Equal(tree(t, dir), whole) {
			t.Errorf("byte %d flipped, and nobody saw", i)
		}
	}
	if noticed < 30 {
		t.Errorf("only %d of 50 flips noticed", noticed)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(plain().zip(f))
	f.Add(plain(entry{name: data + "scripts/x", content: "#!python\n"}, entry{name: info + "entry_points.txt", content: "[console_scripts]\na = b:c\n"}).zip(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, in, err := unpack(t, b, file)
		if es, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(es) != 1 {
			t.Fatalf("left the folder: %v %v", es, err)
		}
		if err != nil {
			return
		}
		for _, f := range in.Files {
			if fi, err := os.Lstat(filepath.Join(dir, f.Path)); err != nil || fi.Size() != f.Size || !fi.Mode().IsRegular() {
				t.Errorf("%s: %v", f.Path, err)
			}
		}
	})
}
