package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"blast.example/blast/config/source"
)

// FileName is the name of the file that describes a project's environments.
const FileName = "blast.hcl"

// Find returns the path of the nearest blast.hcl, in dir or a folder above it.
// Without one the error is fs.ErrNotExist.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", FileName, err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("find %s: %w", FileName, err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		path := filepath.Join(d, FileName)
		_, err := os.Lstat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find %s: %w", FileName, err)
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("find %s in %s and above: %w", FileName, dir, fs.ErrNotExist)
		}
	}
}

// Format returns the source in the canonical format: indentation, alignment and
// spaces. It changes nothing that means something, and what is no HCL it returns
// as well as it can; a second Format changes nothing.
func Format(src []byte) []byte { return hclwrite.Format(src) }

// Guard refuses a source that can't be parsed safely: too large or too deep, no
// UTF-8, with characters that make it read other than it works.
func Guard(src []byte, name string) error {
	if diags := source.Guard(src, name); diags.HasErrors() {
		return diags
	}
	return nil
}
