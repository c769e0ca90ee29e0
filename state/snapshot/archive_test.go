package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"blast.example/blast/state"
)

func export(t testing.TB, project, name string) []byte {
	t.Helper()
	s := opened(t, project)
	one, err := s.Find(name)
	do(t, err)
	var b bytes.Buffer
	do(t, s.Export(t.Context(), one, &b))
	return b.Bytes()
}

// take reads an archive and keeps it under its own name.
func take(t testing.TB, project, name string, b []byte) (Snapshot, error) {
	t.Helper()
	w, err := Write(project)
	do(t, err)
	defer func() { _ = w.Close() }()
	in, err := w.Read(t.Context(), bytes.NewReader(b), name, nil)
	if err != nil {
		return Snapshot{}, err
	}
	defer func() { _ = in.Close() }()
	return w.Keep(in.Name, in)
}

func TestArchiveThereAndBack(t *testing.T) {
	p, q := t.TempDir(), t.TempDir()
	a := saved(t, p, "a", "one", 1)
	b := export(t, p, "a")
	if again := export(t, p, "a"); !bytes.Equal(again, b) {
		t.Error("another archive of the same snapshot")
	}
	got, err := take(t, q, "", b)
	do(t, err)
	if got.Digest != a.Digest || got.Name != "a" {
		t.Errorf("%+v", got)
	}
	s := opened(t, q)
	if text, err := unpacked(t, s, got); err != nil || text != "one" {
		t.Error(text, err)
	}
	if r, err := s.Record(got); err != nil || r.Serial != 1 {
		t.Error(r, err)
	}
	if _, err := take(t, q, "", b); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := take(t, q, "b", b); err == nil || !strings.Contains(err.Error(), "there are: a") {
		t.Errorf("another name: %v", err)
	}
	saved(t, q, "c", "other", 1)
	saved(t, p, "c", "mine", 1)
	if _, err := take(t, q, "", export(t, p, "c")); !errors.Is(err, ErrThere) {
		t.Errorf("a name that is taken: %v", err)
	}
	if text, err := unpacked(t, opened(t, q), must(t)(opened(t, q).Find("c"))); err != nil || text != "other" {
		t.Error(text, err)
	}
}

func must(t testing.TB) func(Snapshot, error) Snapshot {
	return func(one Snapshot, err error) Snapshot { t.Helper(); do(t, err); return one }
}

// made is an archive that is put together by hand.
type made struct {
	layout   []byte
	manifest v1.Manifest
	record   []byte
	layer    []byte
	index    v1.Index
	rest     []tarFile
	raw      map[string][]byte // in place of what would be there
	drop     string
}

type tarFile struct {
	h tar.Header
	b []byte
}

// tidy is an archive as Export makes it, to be spoilt.
func tidy(t testing.TB) *made {
	t.Helper()
	p := t.TempDir()
	saved(t, p, "a", "one", 1)
	m := &made{raw: map[string][]byte{}}
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(export(t, p, "a")))
	for h, err := r.Next(); err == nil; h, err = r.Next() {
		b, err := io.ReadAll(r)
		do(t, err)
		files[h.Name] = b
	}
	m.layout = files["oci-layout"]
	do(t, json.Unmarshal(files["index.json"], &m.index))
	do(t, json.Unmarshal(files[blobPath(m.index.Manifests[0].Digest)], &m.manifest))
	m.record, m.layer = files[blobPath(m.manifest.Config.Digest)], files[blobPath(m.manifest.Layers[0].Digest)]
	return m
}

// files says anew what is in what: only the spoilt part is wrong.
func (m *made) files(t testing.TB) []tarFile {
	t.Helper()
	m.manifest.Config.Digest, m.manifest.Config.Size = digest.FromBytes(m.record), int64(len(m.record))
	if len(m.manifest.Layers) > 0 {
		m.manifest.Layers[0].Digest, m.manifest.Layers[0].Size = digest.FromBytes(m.layer), int64(len(m.layer))
	}
	manifest, err := json.Marshal(m.manifest)
	do(t, err)
	if raw, ok := m.raw["manifest"]; ok {
		manifest = raw
	}
	if len(m.index.Manifests) > 0 {
		m.index.Manifests[0].Digest, m.index.Manifests[0].Size = digest.FromBytes(manifest), int64(len(manifest))
	}
	index, err := json.Marshal(m.index)
	do(t, err)
	if raw, ok := m.raw["index"]; ok {
		index = raw
	}
	plain := func(name string, b []byte) tarFile {
		return tarFile{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, b}
	}
	all := []tarFile{plain("oci-layout", m.layout), plain("index.json", index)}
	for what, b := range map[string][]byte{"manifest": manifest, "record": m.record, "layer": m.layer} {
		if m.drop != what {
			all = append(all, plain(blobPath(digest.FromBytes(b)), b))
		}
	}
	return append(all, m.rest...)
}

func (m *made) bytes(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range m.files(t) {
		if f.h.Typeflag == tar.TypeReg {
			f.h.Size = int64(len(f.b))
		}
		do(t, w.WriteHeader(&f.h))
		_, err := w.Write(f.b)
		do(t, err)
	}
	do(t, w.Close())
	return b.Bytes()
}

// pressed is a layer of an archive that layer.Pack would not write.
func (m *made) pressed(t testing.TB, archive []byte, opts ...zstd.EOption) {
	t.Helper()
	enc, err := zstd.NewWriter(nil, opts...)
	do(t, err)
	m.layer = enc.EncodeAll(archive, nil)
	a := m.manifest.Layers[0].Annotations
	a[keyContent], a[keyBytes] = digest.FromBytes(archive).String(), strconv.Itoa(len(archive))
}

func tarOf(t testing.TB, hs ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		h.Format = tar.FormatPAX
		do(t, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		do(t, err)
	}
	do(t, w.Close())
	return b.Bytes()
}

var strangers = map[string]struct {
	says  string
	spoil func(t testing.TB, m *made)
}{
	"other layout": {"no OCI image layout", func(_ testing.TB, m *made) { m.layout = []byte(`{"imageLayoutVersion":"9"}`) }},
	"no layout":    {"no OCI image layout", func(_ testing.TB, m *made) { m.layout = nil }},
	"image in the index": {"an image can't be loaded", func(_ testing.TB, m *made) {
		m.index.Manifests[0].ArtifactType = ""
		m.index.Manifests[0].Annotations[v1.AnnotationRefName] = "docker.io/library/debian:12"
	}},
	"index in the index":   {"an image can't be loaded", func(_ testing.TB, m *made) { m.index.Manifests[0].MediaType = v1.MediaTypeImageIndex }},
	"image":                {"an image can't be loaded", func(_ testing.TB, m *made) { m.manifest.ArtifactType = "" }},
	"two in the index":     {"are called", func(_ testing.TB, m *made) { m.index.Manifests = append(m.index.Manifests, m.index.Manifests[0]) }},
	"nothing in the index": {"no snapshot", func(_ testing.TB, m *made) { m.index.Manifests = nil }},
	"name that leads out":  {"no snapshot can be called", func(_ testing.TB, m *made) { m.index.Manifests[0].Annotations[v1.AnnotationRefName] = "../../x" }},
	"digest that leads out": {"not a SHA-256 digest", func(t testing.TB, m *made) {
		m.raw["index"] = []byte(strings.Replace(string(indexOf(t, m)), m.index.Manifests[0].Digest.String(), "sha256:../../../../etc/passwd", 1))
	}},
	"other algorithm": {"not a SHA-256 digest", func(t testing.TB, m *made) {
		m.raw["index"] = []byte(strings.Replace(string(indexOf(t, m)), m.index.Manifests[0].Digest.String(), "sha512:"+strings.Repeat("ab", 64), 1))
	}},
	"index of garbage":      {"index:", func(_ testing.TB, m *made) { m.raw["index"] = []byte("{") }},
	"index and more":        {"something follows", func(t testing.TB, m *made) { m.raw["index"] = append(indexOf(t, m), "{}"...) }},
	"deep index":            {"index:", func(_ testing.TB, m *made) { m.raw["index"] = []byte(strings.Repeat("[", 100_000)) }},
	"large index":           {"at most", func(_ testing.TB, m *made) { m.raw["index"] = make([]byte, maxIndex+1) }},
	"manifest of garbage":   {"manifest:", func(_ testing.TB, m *made) { m.raw["manifest"] = []byte("null null") }},
	"large manifest":        {"at most", func(_ testing.TB, m *made) { m.raw["manifest"] = make([]byte, maxManifest+1) }},
	"other record type":     {"its record is of type", func(_ testing.TB, m *made) { m.manifest.Config.MediaType = v1.MediaTypeImageConfig }},
	"other layer type":      {"its layer is of type", func(_ testing.TB, m *made) { m.manifest.Layers[0].MediaType = v1.MediaTypeImageLayerGzip }},
	"two layers":            {"has 2 layers", func(_ testing.TB, m *made) { m.manifest.Layers = append(m.manifest.Layers, m.manifest.Layers[0]) }},
	"no layer":              {"has 0 layers", func(_ testing.TB, m *made) { m.manifest.Layers = nil }},
	"subject":               {"refers to another", func(_ testing.TB, m *made) { m.manifest.Subject = &v1.Descriptor{} }},
	"no content":            {"doesn't say what is in its layer", func(_ testing.TB, m *made) { delete(m.manifest.Layers[0].Annotations, keyContent) }},
	"negative size":         {"doesn't say what is in its layer", func(_ testing.TB, m *made) { m.manifest.Layers[0].Annotations[keyBytes] = "-1" }},
	"newer record":          {"of version 2", func(_ testing.TB, m *made) { m.record = []byte(`{"version":2}`) }},
	"unknown in record":     {"unknown field", func(_ testing.TB, m *made) { m.record = []byte(`{"version":1,"x":1}`) }},
	"forged line in record": {"no environment is called", func(_ testing.TB, m *made) { m.record = []byte(`{"version":1,"environment":"a\nb"}`) }},
	"record is missing":     {"is missing", func(_ testing.TB, m *made) { m.drop = "record" }},
	"layer is missing":      {"is missing", func(_ testing.TB, m *made) { m.drop = "layer" }},
	"manifest is missing":   {"is missing", func(_ testing.TB, m *made) { m.drop = "manifest" }},
	"other content": {"not what the manifest says", func(_ testing.TB, m *made) {
		m.manifest.Layers[0].Annotations[keyContent] = digest.FromString("x").String()
	}},
	"other entries":      {"not what the manifest says", func(_ testing.TB, m *made) { m.manifest.Layers[0].Annotations[keyEntries] = "7" }},
	"less than promised": {"ends early", func(_ testing.TB, m *made) { m.manifest.Layers[0].Annotations[keyBytes] = "1000000" }},
	"more than promised": {"", func(_ testing.TB, m *made) { m.manifest.Layers[0].Annotations[keyBytes] = "512" }},
	"bomb that is said":  {"which no files do", func(_ testing.TB, m *made) { m.manifest.Layers[0].Annotations[keyBytes] = strconv.Itoa(1 << 40) }},
	"layer of garbage":   {"magic", func(_ testing.TB, m *made) { m.layer = []byte("not compressed at all") }},
	"layer that is cut":  {"", func(_ testing.TB, m *made) { m.layer = m.layer[:len(m.layer)-5] }},
	"layer that goes on": {"", func(_ testing.TB, m *made) { m.layer = append(m.layer, "more"...) }},
	"bomb": {"larger than its manifest", func(t testing.TB, m *made) {
		m.pressed(t, append(tarOf(t), make([]byte, 64<<20)...))
		m.manifest.Layers[0].Annotations[keyBytes] = "1024"
	}},
	"large window": {"window", func(t testing.TB, m *made) {
		m.pressed(t, tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "home/", Mode: 0o755}, tar.Header{Typeflag: tar.TypeReg, Name: "home/x", Mode: 0o644, Size: 80 << 20}), zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
		m.manifest.Layers[0].Annotations[keyEntries] = "2"
	}},
	"device in the layer": {"is a device", func(t testing.TB, m *made) {
		m.pressed(t, tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "home/", Mode: 0o755}, tar.Header{Typeflag: tar.TypeChar, Name: "home/null", Devmajor: 1, Devminor: 3}))
	}},
	"way out of the layer": {"no relative name", func(t testing.TB, m *made) {
		m.pressed(t, tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "../../../../etc/cron.d/x", Mode: 0o644}))
	}},
	"file beside": {"belongs to no OCI", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: "../../etc/cron.d/x"}, []byte("x")}}
	}},
	"absolute beside": {"belongs to no OCI", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: "/etc/cron.d/x"}, []byte("x")}}
	}},
	"link": {"no regular file", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeSymlink, Name: "blobs", Linkname: "/etc"}, nil}}
	}},
	"hard link": {"no regular file", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "/etc/shadow"}, nil}}
	}},
	"device": {"no regular file", func(_ testing.TB, m *made) { m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeChar, Name: "x"}, nil}} }},
	"index twice": {"comes twice", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: "index.json"}, []byte("{}")}}
	}},
	"blob twice": {"comes twice", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: blobPath(digest.FromBytes(m.layer))}, m.layer}}
	}},
	"blob of other": {"another digest", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: blobPath(digest.FromString("x"))}, []byte("y")}}
	}},
	"blob without name": {"not a SHA-256", func(_ testing.TB, m *made) {
		m.rest = []tarFile{{tar.Header{Typeflag: tar.TypeReg, Name: blobsDir + "/zz"}, nil}}
	}},
	"many blobs": {"more than 16", func(_ testing.TB, m *made) {
		for i := range 20 {
			b := []byte(strconv.Itoa(i))
			m.rest = append(m.rest, tarFile{tar.Header{Typeflag: tar.TypeReg, Name: blobPath(digest.FromBytes(b))}, b})
		}
	}},
	"many files": {"more than 64 files", func(_ testing.TB, m *made) {
		for range 80 {
			m.rest = append(m.rest, tarFile{tar.Header{Typeflag: tar.TypeDir, Name: "blobs/"}, nil})
		}
	}},
}

func indexOf(t testing.TB, m *made) []byte {
	t.Helper()
	for _, f := range m.files(t) {
		if f.h.Name == "index.json" {
			return f.b
		}
	}
	return nil
}

// What is refused leaves nothing, in the store or elsewhere.
func TestStrangersArchives(t *testing.T) {
	for name, c := range strangers {
		t.Run(name, func(t *testing.T) {
			p, m := t.TempDir(), tidy(t)
			if _, err := take(t, t.TempDir(), "", m.bytes(t)); err != nil {
				t.Fatalf("control: %v", err)
			}
			c.spoil(t, m)
			_, err := take(t, p, "", m.bytes(t))
			var no *ArchiveError
			if !errors.As(err, &no) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if _, err := os.Lstat(filepath.Join(p, ".blast")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("something is left")
			}
		})
	}
	good := tidy(t).bytes(t)
	for name, b := range map[string][]byte{"empty": nil, "garbage": bytes.Repeat([]byte("x"), 4096), "cut": good[:len(good)/2], "gzip": append([]byte{0x1f, 0x8b}, good...)} {
		var no *ArchiveError
		if _, err := take(t, t.TempDir(), "", b); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where the parts lie in the archive, and that folders are among them, means nothing.
func TestArchivesOfOtherTools(t *testing.T) {
	m := tidy(t)
	fs := m.files(t)
	slices.Reverse(fs)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"./", "./blobs/", "./blobs/sha256/"} {
		do(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}))
	}
	for _, f := range fs {
		f.h.Size, f.h.Name = int64(len(f.b)), "./"+f.h.Name
		do(t, w.WriteHeader(&f.h))
		_, err := w.Write(f.b)
		do(t, err)
	}
	do(t, w.Close())
	if _, err := take(t, t.TempDir(), "a", b.Bytes()); err != nil {
		t.Error(err)
	}
}

// Stopped while it reads, it leaves nothing.
func TestReadCancelled(t *testing.T) {
	p, good := t.TempDir(), tidy(t).bytes(t)
	for _, after := range []int{0, 600, len(good) / 2} {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := Write(p)
		do(t, err)
		_, err = w.Read(ctx, io.MultiReader(bytes.NewReader(good[:after]), stopping(cancel), bytes.NewReader(good[after:])), "", nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d: %v", after, err)
		}
		do(t, w.Close())
		if _, err := os.Lstat(state.SnapshotsDir(p)); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something is left")
		}
	}
}

type stopping context.CancelFunc

func (s stopping) Read([]byte) (int, error) { s(); return 0, io.EOF }
