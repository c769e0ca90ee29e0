package snapshot

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzRead reads whatever a stranger may send. What is accepted is what it says.
func FuzzRead(f *testing.F) {
	f.Add(tidy(f).bytes(f))
	for _, name := range slices.Sorted(maps.Keys(strangers)) {
		m := tidy(f)
		strangers[name].spoil(f, m)
		if b := m.bytes(f); len(b) < 16<<10 && !strings.Contains(name, "bomb") {
			f.Add(b)
		}
	}
	w, err := Write(f.TempDir())
	do(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := w.Read(t.Context(), bytes.NewReader(b), "", nil)
		if err != nil {
			return
		}
		defer func() { _ = in.Close() }()
		if digest.FromBytes(in.manifest) != in.Digest || in.layer.Digest() != in.Layer.Blob || CheckName(in.Name) != nil || in.Record.Version != Version {
			t.Errorf("%+v", in)
		}
	})
}

// FuzzManifest reads indexes, manifests and records.
func FuzzManifest(f *testing.F) {
	m := tidy(f)
	for _, file := range m.files(f) {
		if len(file.b) < 4096 {
			f.Add(file.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseManifest(b); err == nil {
			if _, err := layerOf(got.Layers[0]); err != nil || !filepath.IsLocal(blobPath(got.Config.Digest)) || !filepath.IsLocal(blobPath(got.Layers[0].Digest)) {
				t.Errorf("%+v %v", got, err)
			}
		}
		if all, err := parseIndex(b); err == nil {
			for _, d := range all.Manifests {
				if !filepath.IsLocal(blobPath(d.Digest)) || CheckName(d.Annotations[v1.AnnotationRefName]) != nil {
					t.Errorf("%+v", d)
				}
			}
		}
		_, _ = parseRecord(b)
	})
}
