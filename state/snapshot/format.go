package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

// Media types of Blast's own.
const (
	ArtifactType = "application/vnd.blast.snapshot.v1"
	RecordType   = "application/vnd.blast.snapshot.record.v1+json"
)

// Version is the version of the format of a Record.
const Version = 1

// Bounds of what is read whole.
const (
	maxIndex    = 4 << 20
	maxManifest = 1 << 20
	maxRecord   = 64 << 20 // as a state's
)

// A Record is what a snapshot says beside the files of its layer.
type Record struct {
	Version     int    `json:"version"`
	Blast       string `json:"blast"`       // version of the Blast that saved it
	Environment string `json:"environment"` // its name
	Lineage     string `json:"lineage"`
	Serial      uint64 `json:"serial"` // the generation that was saved

	// Objects are the recorded ones without what is of a project's folder, a
	// person or a machine, and without secrets: see kinds.Porter.
	Objects []plan.Object `json:"objects"`
}

// A Layer is the writable layer of a snapshot: a tar archive, compressed.
type Layer struct {
	Blob    digest.Digest // of the compressed archive: what a store has it by
	Size    int64         // bytes of that
	Content digest.Digest // of the archive itself: the same files have the same
	Bytes   int64         // of the archive itself
	Entries int64         // files, folders and links in it
}

// Keys of a layer's annotations, in the reverse notation of the OCI.
const (
	keyContent = "example.blast.layer.content"
	keyBytes   = "example.blast.layer.bytes"
	keyEntries = "example.blast.layer.entries"
)

// maxName is also what the OCI's references allow.
const maxName = 128

// CheckName refuses what can't name a snapshot: a reference of the OCI, and no file
// name of an archive, so that a command line can tell the two apart.
func CheckName(name string) error {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
	if !plain || name == "" || len(name) > maxName || strings.ContainsAny(name[:1], "-_.") || IsArchive(name) {
		return fmt.Errorf("no snapshot can be called %q: names have up to %d letters, digits, -, _ and ., begin with a letter or digit, and don't end in .tar", name, maxName)
	}
	return nil
}

// IsArchive reports whether a word of a command line means an archive in a file.
func IsArchive(word string) bool {
	return strings.HasSuffix(word, ".tar") || strings.Contains(word, "/")
}

func newIndex() v1.Index {
	return v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
}

// newManifest is the manifest of a record and a layer.
func newManifest(record v1.Descriptor, l Layer) ([]byte, error) {
	return json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: record,
		Layers: []v1.Descriptor{{
			MediaType: v1.MediaTypeImageLayerZstd, Digest: l.Blob, Size: l.Size,
			Annotations: map[string]string{keyContent: l.Content.String(), keyBytes: strconv.FormatInt(l.Bytes, 10), keyEntries: strconv.FormatInt(l.Entries, 10)},
		}},
	})
}

// parseManifest reads a manifest, which may be a stranger's.
func parseManifest(b []byte) (v1.Manifest, error) {
	var m v1.Manifest
	if err := strictly(b, &m); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	switch {
	case m.SchemaVersion != 2 || m.MediaType != v1.MediaTypeImageManifest:
		return m, fmt.Errorf("manifest: it is of type %q, version %d, and not an OCI image manifest", m.MediaType, m.SchemaVersion)
	case m.ArtifactType != ArtifactType:
		return m, fmt.Errorf("manifest: it is of type %q, and a snapshot of Blast is %s: an image can't be loaded", m.ArtifactType, ArtifactType)
	case m.Config.MediaType != RecordType:
		return m, fmt.Errorf("manifest: its record is of type %q, and this Blast reads %s", m.Config.MediaType, RecordType)
	case len(m.Layers) != 1:
		return m, fmt.Errorf("manifest: it has %d layers, and a snapshot has 1", len(m.Layers))
	case m.Layers[0].MediaType != v1.MediaTypeImageLayerZstd:
		return m, fmt.Errorf("manifest: its layer is of type %q, and this Blast reads %s", m.Layers[0].MediaType, v1.MediaTypeImageLayerZstd)
	case m.Subject != nil:
		return m, errors.New("manifest: it refers to another manifest, and a snapshot stands for itself")
	}
	if err := errors.Join(checkDescriptor(m.Config, maxRecord), checkDescriptor(m.Layers[0], maxLayer)); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	_, err := layerOf(m.Layers[0])
	return m, err
}

// layerOf reads what a manifest says about a layer.
func layerOf(d v1.Descriptor) (Layer, error) {
	l := Layer{Blob: d.Digest, Size: d.Size, Content: digest.Digest(d.Annotations[keyContent])}
	var err1, err2 error
	l.Bytes, err1 = strconv.ParseInt(d.Annotations[keyBytes], 10, 64)
	l.Entries, err2 = strconv.ParseInt(d.Annotations[keyEntries], 10, 64)
	if err := errors.Join(err1, err2, checkDigest(l.Content)); err != nil || l.Bytes < 0 || l.Entries < 0 {
		return l, errors.New("manifest: it doesn't say what is in its layer")
	}
	return l, nil
}

// parseIndex reads an index, which may be a stranger's. What else than manifests it
// names is an error.
func parseIndex(b []byte) (v1.Index, error) {
	var all v1.Index
	if err := strictly(b, &all); err != nil {
		return all, fmt.Errorf("index: %w", err)
	}
	if all.SchemaVersion != 2 || all.MediaType != "" && all.MediaType != v1.MediaTypeImageIndex {
		return all, fmt.Errorf("index: it is of type %q, version %d, and not an OCI image index", all.MediaType, all.SchemaVersion)
	}
	seen := map[string]bool{}
	for _, d := range all.Manifests {
		if d.MediaType != v1.MediaTypeImageManifest || d.ArtifactType != ArtifactType {
			return all, fmt.Errorf("index: it names something of type %q, artifact %q, and a snapshot of Blast is %s: an image can't be loaded", d.MediaType, d.ArtifactType, ArtifactType)
		}
		name := d.Annotations[v1.AnnotationRefName]
		if err := CheckName(name); err != nil {
			return all, fmt.Errorf("index: %w", err)
		}
		if seen[name] {
			return all, fmt.Errorf("index: two snapshots are called %q", name)
		}
		seen[name] = true
		if err := checkDescriptor(d, maxManifest); err != nil {
			return all, fmt.Errorf("index: %s: %w", name, err)
		}
	}
	return all, nil
}

func parseRecord(b []byte) (Record, error) {
	var r Record
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if v.Version != Version {
		return r, fmt.Errorf("record: it is of version %d, and this Blast reads %d", v.Version, Version)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if err := state.CheckName(r.Environment); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// strictly reads one JSON value and nothing after it.
func strictly(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows")
	}
	return nil
}

func checkDescriptor(d v1.Descriptor, most int64) error {
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > most {
		return fmt.Errorf("%s has %d bytes, and at most %d are read", d.Digest, d.Size, most)
	}
	return nil
}

// checkDigest lets through what can be a file name in blobs/sha256.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%.100q is not a SHA-256 digest", string(d))
	}
	return nil
}
