package wheel_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/wheel"
)

var target = wheel.Target{Python: "3.11", Interpreter: "/venv/current/bin/python"}

const (
	info = "demo-1.0.dist-info/"
	data = "demo-1.0.data/"
	file = "demo-1.0-py3-none-any.whl"
)

// entry is one file of a wheel that is put together by hand.
type entry struct {
	name, content string
	mode          fs.FileMode // 0 is 0644
	unlisted      bool        // not in RECORD
}

// parts are the files of a wheel; record "" is made from them.
type parts struct {
	entries []entry
	record  string
}

// plain is a whole wheel; change it to make a bad one.
func plain(more ...entry) parts {
	return parts{entries: append([]entry{
		{name: "demo/__init__.py", content: "ANSWER = 42\ndef main():\n    print(ANSWER)\n"},
		{name: info + "METADATA", content: "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n\nName: not this one\n"},
		{name: info + "WHEEL", content: "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}, more...)}
}

// with replaces the content of a file.
func (p parts) with(name, content string) parts {
	p.entries = slices.Clone(p.entries)
	for i := range p.entries {
		if p.entries[i].name == name {
			p.entries[i].content = content
		}
	}
	return p
}

func (p parts) without(name string) parts {
	p.entries = slices.DeleteFunc(slices.Clone(p.entries), func(e entry) bool { return e.name == name })
	return p
}

func hashOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (p parts) recordText() string {
	if p.record != "" {
		return p.record
	}
	var b strings.Builder
	for _, e := range p.entries {
		if !e.unlisted && !strings.HasSuffix(e.name, "/") {
			fmt.Fprintf(&b, "%s,%s,%d\n", e.name, hashOf(e.content), len(e.content))
		}
	}
	return b.String() + info + "RECORD,,\n"
}

func (p parts) zip(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	entries := p.entries
	if p.record != "none" {
		entries = append(slices.Clone(entries), entry{name: info + "RECORD", content: p.recordText()})
	}
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644)
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.name, "/") {
			continue
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpack unpacks into a new folder, which it returns.
func unpack(t testing.TB, b []byte, name string) (string, wheel.Installed, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dst")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	in, err := wheel.Unpack(bytes.NewReader(b), int64(len(b)), name, root, target)
	return dir, in, err
}

// tree reads all files of a folder by path, with "x " before what can be run.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
		if fi.Mode()&0o111 != 0 {
			files[rel] = "x " + files[rel]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func names(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }
