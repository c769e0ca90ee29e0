package pypi

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"
)

// maxMetadata bounds the bytes of a metadata file.
const maxMetadata = 1 << 20

// wheelMetadata returns the METADATA file of a wheel.
func wheelMetadata(wheel []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if dir, name := path.Split(f.Name); name != "METADATA" || !strings.HasSuffix(dir, ".dist-info/") || strings.Count(dir, "/") != 1 {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, maxMetadata))
	}
	return nil, errors.New("no METADATA in a .dist-info folder")
}

// sdistMetadata returns the PKG-INFO file of a .tar.gz, or nil.
func sdistMetadata(sdist []byte) []byte {
	g, err := gzip.NewReader(bytes.NewReader(sdist))
	if err != nil {
		return nil
	}
	for t := tar.NewReader(g); ; {
		h, err := t.Next()
		if err != nil {
			return nil
		}
		if path.Base(h.Name) == "PKG-INFO" && strings.Count(path.Clean(h.Name), "/") == 1 {
			b, err := io.ReadAll(io.LimitReader(t, maxMetadata))
			if err != nil {
				return nil
			}
			return b
		}
	}
}

// header returns the first field of a name in the head of a metadata file.
func header(metadata []byte, name string) string {
	for lines := bufio.NewScanner(bytes.NewReader(metadata)); lines.Scan() && lines.Text() != ""; {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
