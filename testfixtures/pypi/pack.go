package pypi

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// packed is the time of every file in a wheel: equal content, equal bytes.
var packed = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Packed is a file of a wheel.
type Packed struct {
	Path string
	Data []byte
	Mode fs.FileMode // 0: 0644
}

// WheelFile returns the WHEEL file for a tag, or a set of tags that are
// compressed as in a file name.
func WheelFile(tag string) []byte {
	pure := strings.HasSuffix(tag, "-none-any")
	b := fmt.Sprintf("Wheel-Version: 1.0\nGenerator: blast-testfixtures\nRoot-Is-Purelib: %t\n", pure)
	parts := strings.SplitN(tag, "-", 3)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	for _, python := range strings.Split(parts[0], ".") {
		for _, abi := range strings.Split(parts[1], ".") {
			for _, platform := range strings.Split(parts[2], ".") {
				b += fmt.Sprintf("Tag: %s-%s-%s\n", python, abi, platform)
			}
		}
	}
	return []byte(b)
}

// Pack adds the RECORD to the files and makes a wheel of them. info is the
// .dist-info folder, with a slash at its end.
func Pack(info string, files []Packed) []byte {
	record := Packed{Path: info + "RECORD", Data: recordOf(info, files)}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range append(files[:len(files):len(files)], record) {
		h := &zip.FileHeader{Name: f.Path, Method: zip.Deflate, Modified: packed}
		h.SetMode(f.Mode.Perm())
		if f.Mode == 0 {
			h.SetMode(0o644)
		}
		// A buffer takes every write.
		w, err := z.CreateHeader(h)
		if err == nil {
			_, _ = w.Write(f.Data)
		}
	}
	_ = z.Close()
	return out.Bytes()
}

// recordOf lists path, hash and size of each file (PEP 376, PEP 627).
func recordOf(info string, files []Packed) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, f := range files {
		sum := sha256.Sum256(f.Data)
		_ = w.Write([]string{f.Path, "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), strconv.Itoa(len(f.Data))})
	}
	_ = w.Write([]string{info + "RECORD", "", ""})
	w.Flush()
	return b.Bytes()
}
