package wheelhouse

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
)

// sitePackages is where Debian installs projects for every Python 3.
const sitePackages = "usr/lib/python3/dist-packages"

// maxTree bounds the bytes that are read of one package.
const maxTree = 1 << 30

// tree is the files of a package below sitePackages, by path. Links are
// resolved when the package has what they point to, and else left out.
type tree map[string][]byte

func (d deb) tree(ctx context.Context) (tree, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", d.path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", d.path, err)
	}
	files, readErr := readTree(out)
	if readErr != nil { // let dpkg-deb write to its end
		_, _ = io.Copy(io.Discard, out)
	}
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", d.path, err)
	}
	return files, nil
}

func readTree(r io.Reader) (tree, error) {
	files, links := tree{}, map[string]string{}
	archive := tar.NewReader(io.LimitReader(r, maxTree))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(path.Clean(h.Name), sitePackages+"/")
		if !ok {
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg:
			if files[name], err = io.ReadAll(archive); err != nil {
				return nil, err
			}
		case tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			links[name] = strings.TrimPrefix(path.Clean(h.Linkname), sitePackages+"/")
		}
	}
	for name, target := range links {
		if data, ok := files[target]; ok {
			files[name] = data
		}
	}
	_, err := io.Copy(io.Discard, r) // the padding after the archive's end
	return files, err
}
