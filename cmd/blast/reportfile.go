package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/session"
)

// reportMode lets everybody read a report: nothing secret is in one, and under sudo
// the next step of a job is often not root.
const reportMode = 0o644

// writeReport puts a report at path: in place of what was there, or after it in the
// file that all steps of a job on GitHub share.
func writeReport(path string, b []byte) error {
	if shared := os.Getenv("GITHUB_STEP_SUMMARY"); shared != "" && same(path, shared) {
		return addTo(path, append([]byte("\n"), b...)) // or it would belong to what is before it
	}
	if isDescriptor(path) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Close())
	}
	root, base, err := reportPlace(path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	uid, gid := session.Person()
	return replaceIn(root, base, b, reportMode, uid, gid)
}

// newReport is a new file in place of what was at path, to be written bit by bit.
func newReport(path string) (*os.File, error) {
	root, base, err := reportPlace(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	draft := ".blast-" + rand.Text()
	f, err := root.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if uid, gid := session.Person(); uid != os.Geteuid() {
		err = f.Chown(uid, gid)
	}
	if err = errors.Join(err, f.Chmod(reportMode)); err == nil {
		err = root.Rename(draft, base)
	}
	if err != nil {
		_ = root.Remove(draft)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reportPlace opens the folder of a report. What is there already is a file, or
// somebody meant something else.
func reportPlace(path string) (root *os.Root, base string, err error) {
	if root, err = os.OpenRoot(filepath.Dir(path)); err != nil {
		return nil, "", err
	}
	base = filepath.Base(path)
	if fi, err := root.Lstat(base); err == nil && !fi.Mode().IsRegular() {
		_ = root.Close()
		return nil, "", fmt.Errorf("%s is there, and is no file", path)
	}
	return root, base, nil
}

// addTo adds lines to a file that a runner made for that.
func addTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	last := []byte("\n")
	if err == nil && fi.Size() > 0 {
		_, err = f.ReadAt(last, fi.Size()-1)
	}
	if err == nil && last[0] != '\n' { // a step wrote half a line
		b = append([]byte("\n"), b...)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	return errors.Join(err, f.Close())
}

// same reports whether two names are of one file.
func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	a, errX = filepath.Abs(a)
	b, errY = filepath.Abs(b)
	return errX == nil && errY == nil && a == b
}

// isDescriptor reports whether a path names one of the caller's descriptors.
func isDescriptor(path string) bool {
	return strings.HasPrefix(path, "/dev/fd/") || path == "/dev/stdout" || path == "/dev/stderr"
}
