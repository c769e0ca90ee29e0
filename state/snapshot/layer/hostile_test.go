package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// entry is one of a made-up archive.
type entry struct {
	h       tar.Header
	content string
}

func dir(name string) entry { return entry{h: tar.Header{Typeflag: tar.TypeDir, Name: name + "/"}} }
func file(name, text string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text))}, content: text}
}

func archive(t testing.TB, es ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range es {
		if e.h.Format == 0 {
			e.h.Format = tar.FormatPAX
		}
		if e.h.Mode == 0 {
			e.h.Mode = 0o755
		}
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatalf("%s: %v", e.h.Name, err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatalf("%s: %v", e.h.Name, err)
		}
	}
	do(t, w.Close())
	return b.Bytes()
}

func special(typ byte, name, link string, change ...func(*tar.Header)) entry {
	e := entry{h: tar.Header{Typeflag: typ, Name: name, Linkname: link}}
	for _, c := range change {
		c(&e.h)
	}
	return e
}

func record(e entry, key, value string) entry {
	e.h.PAXRecords = maps.Clone(e.h.PAXRecords)
	if e.h.PAXRecords == nil {
		e.h.PAXRecords = map[string]string{}
	}
	e.h.PAXRecords[key] = value
	return e
}

// hostile are archives of strangers, and a part of what is said about them.
func hostile(t testing.TB) map[string]struct {
	b    []byte
	says string
} {
	home := dir("home")
	a := func(says string, es ...entry) struct {
		b    []byte
		says string
	} {
		return struct {
			b    []byte
			says string
		}{archive(t, es...), says}
	}
	gnu := file("home/x", "x")
	gnu.h.Format = tar.FormatGNU
	good := archive(t, home, file("home/a", strings.Repeat("a", 1000)))
	deep := strings.TrimSuffix(strings.Repeat("d/", 300), "/")
	return map[string]struct {
		b    []byte
		says string
	}{
		"upwards":            a("no relative name", home, file("home/../../x", "x")),
		"upwards at once":    a("no relative name", dir(".."), file("../x", "x")),
		"absolute":           a("no relative name", file("/etc/passwd", "x")),
		"dot":                a("no relative name", home, file("home/./x", "x")),
		"empty part":         a("no relative name", home, file("home//x", "x")),
		"at the top":         a("lies at the top", file("x", "x")),
		"link at the top":    a("lies at the top", special(tar.TypeSymlink, "home", "/etc")),
		"no folder":          a("no folder that came before", file("home/x", "x")),
		"through a link":     a("no folder that came before", home, special(tar.TypeSymlink, "home/etc", "/etc"), file("home/etc/passwd", "x")),
		"through a file":     a("no folder that came before", home, file("home/etc", "x"), file("home/etc/passwd", "x")),
		"link for a folder":  a("in order", home, dir("home/a"), special(tar.TypeSymlink, "home/a", "/etc"), file("home/a/x", "x")),
		"twice":              a("in order", home, file("home/a", "x"), file("home/a", "y")),
		"out of order":       a("in order", home, file("home/b", "x"), file("home/a", "y")),
		"back to a folder":   a("in order", home, dir("home/a"), file("home/b", "x"), file("home/a/x", "y")),
		"folder twice":       a("in order", home, home),
		"hard link out":      a("no relative name", home, special(tar.TypeLink, "home/x", "../../etc/shadow")),
		"hard link absolute": a("no relative name", home, special(tar.TypeLink, "home/x", "/etc/shadow")),
		"hard link later":    a("doesn't come before", home, special(tar.TypeLink, "home/a", "home/b"), file("home/b", "x")),
		"device":             a("is a device, 1:3", home, special(tar.TypeChar, "home/null", "", func(h *tar.Header) { h.Devmajor, h.Devminor = 1, 3 })),
		"block device":       a("is of type", home, special(tar.TypeBlock, "home/sda", "", func(h *tar.Header) { h.Devmajor, h.Devminor = 8, 0 })),
		"capability":         a("extended attribute", home, record(file("home/x", "x"), "SCHILY.xattr.security.capability", "x")),
		"trusted":            a("extended attribute", home, record(file("home/x", "x"), "SCHILY.xattr.trusted.overlay.opaque", "y")),
		"attribute of link":  a("extended attribute", home, record(special(tar.TypeSymlink, "home/x", "y"), "SCHILY.xattr.user.x", "y")),
		"large attribute":    a("extended attributes", home, record(file("home/x", "x"), "SCHILY.xattr.user.x", strings.Repeat("y", 70_000))),
		"unknown record":     a("which is unknown", home, record(file("home/x", "x"), "ACME.thing", "y")),
		"name for a folder":  a("says something else", home, special(tar.TypeSymlink, "home/x/", "y")),
		"long name":          a("part of more than 255", home, file("home/"+strings.Repeat("n", 256), "x")),
		"long path":          a("longer than", file(strings.Repeat("nnnnnnnnn/", 410)+"x", "x")),
		"deep":               a("deeper than", file(deep, "x")),
		"GNU's format":       a("format of POSIX", home, gnu),
		"far future":         a("time that no file has", home, special(tar.TypeFifo, "home/x", "", func(h *tar.Header) { h.ModTime = time.Unix(1<<40, 0) })),
		"holes, no list":     a("malformed list", home, record(file("home/x", "x"), sparseRecord, "10")),
		"holes, odd size":    a("malformed size", home, record(file("home/x", "0\n"), sparseRecord, "010")),
		"holes, huge":        a("are possible", home, record(file("home/x", "0\n"), sparseRecord, "99999999999999999")),
		"holes, negative":    a("malformed size", home, record(file("home/x", "0\n"), sparseRecord, "-1")),
		"holes, overlap":     a("overlap", home, record(file("home/x", "2\n0\n2\n1\n2\nabcd"), sparseRecord, "10")),
		"holes, beyond":      a("beyond its end", home, record(file("home/x", "1\n9\n2\nab"), sparseRecord, "10")),
		"holes, overflow":    a("beyond its end", home, record(file("home/x", "1\n9223372036854775807\n2\nab"), sparseRecord, "10")),
		"holes, many":        a("more than", home, record(file("home/x", "99999999\n"), sparseRecord, "10")),
		"holes, less data":   a("its stretches say", home, record(file("home/x", "1\n0\n4\nab"), sparseRecord, "10")),
		"cut off":            {good[:1536+512+100], "no archive that can be read"},
		"cut off in content": {good[:1536+100], "no archive that can be read"},
		"nothing":            {nil, ""},
		"followed":           {append(slices.Clone(good), file("x", "").content+"more"...), ""},
		"no archive":         {bytes.Repeat([]byte("tar"), 1000), "no archive that can be read"},
	}
}

// Nothing of a stranger's archive comes to lie outside, whatever is in it; and the
// check that writes nothing refuses what unpacking would.
func TestHostileArchives(t *testing.T) {
	good := archive(t, dir("home"), file("home/a", "a"))
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			if c.says == "" {
				return
			}
			outer := t.TempDir()
			inner := filepath.Join(outer, "layer")
			do(t, os.Mkdir(inner, 0o700))
			_, err := unpack(t, c.b, inner)
			var no *RefusedError
			if !errors.As(err, &no) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("unpack: %v", err)
			}
			if _, cerr := Check(t.Context(), source(c.b), nil); !errors.As(cerr, &no) || !strings.Contains(cerr.Error(), c.says) {
				t.Errorf("check: %v", cerr)
			}
			es, err := os.ReadDir(outer)
			if err != nil || len(es) != 1 {
				t.Errorf("written outside: %v %v", es, err)
			}
			if _, err := unpack(t, good, t.TempDir()); err != nil {
				t.Errorf("control: %v", err)
			}
		})
	}
	for name, s := range map[string]Source{
		"longer than promised":  {R: bytes.NewReader(append(slices.Clone(good), 0)), Bytes: int64(len(good))},
		"shorter than promised": {R: bytes.NewReader(good), Bytes: int64(len(good)) + 512},
		"torn":                  {R: bytes.NewReader(good[:700]), Bytes: int64(len(good))},
	} {
		if _, err := Check(t.Context(), s, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Check(t.Context(), source(archive(t)), nil); err != nil {
		t.Errorf("an empty layer: %v", err)
	}
}

// A hard link to what is no file, or to nothing, is seen where files are made.
func TestHardLinksLeadToFiles(t *testing.T) {
	for name, es := range map[string][]entry{
		"folder":   {dir("home"), dir("home/a"), special(tar.TypeLink, "home/b", "home/a")},
		"nothing":  {dir("home"), special(tar.TypeLink, "home/b", "home/a")},
		"via link": {dir("home"), special(tar.TypeSymlink, "home/a", "/etc"), special(tar.TypeLink, "home/b", "home/a/passwd")},
	} {
		if _, err := unpack(t, archive(t, es...), t.TempDir()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzCheck reads whatever a stranger may send. What is accepted can be unpacked,
// and packs to an archive that is accepted.
func FuzzCheck(f *testing.F) {
	from := f.TempDir()
	do(f, os.MkdirAll(filepath.Join(from, "home/a"), 0o755), os.WriteFile(filepath.Join(from, "home/a/x"), []byte("hello"), 0o644), os.Symlink("x", filepath.Join(from, "home/l")))
	holes(f, filepath.Join(from, "home/h"), 1<<20, 8192)
	b, _ := pack(f, from)
	f.Add(b)
	for _, c := range hostile(f) {
		if len(c.b) < 16<<10 {
			f.Add(c.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		names := 0
		st, err := Check(t.Context(), source(b), func(e Entry) error {
			if names++; filepath.IsAbs(e.Name) || !filepath.IsLocal(e.Name) {
				t.Errorf("%q was let through", e.Name)
			}
			return nil
		})
		if err != nil || st.Bytes > 1<<20 {
			return
		}
		outer := t.TempDir()
		inner := filepath.Join(outer, "layer")
		do(t, os.Mkdir(inner, 0o700))
		if _, err := unpack(t, b, inner); err != nil {
			return // a hard link to nothing, or more than this file system takes
		}
		if es, err := os.ReadDir(outer); err != nil || len(es) != 1 {
			t.Fatalf("written outside: %v %v", es, err)
		}
		again, _ := pack(t, inner)
		if _, err := Check(t.Context(), source(again), nil); err != nil {
			t.Fatalf("what was packed is refused: %v", err)
		}
	})
}
