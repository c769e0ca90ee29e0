package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/plan"
)

// savedPlan is a plan in a file: what was reviewed and is to be carried out.
type savedPlan struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Blast   string    `json:"blast"`
	Plan    plan.Plan `json:"plan"`
}

const (
	savedFormat  = "blast plan"
	savedVersion = 1
	savedMax     = 64 << 20
)

// savePlan writes a plan that only its owner may read.
func savePlan(path string, p plan.Plan) error {
	text, err := encodePlan(p)
	if err != nil {
		return err
	}
	return saveText(path, text)
}

// encodePlan is what savePlan writes.
func encodePlan(p plan.Plan) ([]byte, error) {
	b, err := json.Marshal(savedPlan{savedFormat, savedVersion, release.Version, p})
	if err != nil {
		return nil, fmt.Errorf("save plan: %w", err)
	}
	return append(b, '\n'), nil
}

func saveText(path string, text []byte) error {
	if err := replaceFile(path, text); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// replaceFile puts a file that only its owner may read in place of the one at
// path, whoever has that open.
func replaceFile(path string, b []byte) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	base := filepath.Base(path)
	if fi, err := root.Lstat(base); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is there, and is no file", path)
	}
	return replaceIn(root, base, b, 0o600, os.Geteuid(), os.Getegid())
}

// replaceIn replaces a file in one step, so that a full disk or a crash loses
// nothing. Nothing is followed out of the folder.
func replaceIn(root *os.Root, name string, b []byte, mode fs.FileMode, uid, gid int) error {
	draft := ".blast-" + rand.Text()
	f, err := root.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && uid != os.Geteuid() {
		err = f.Chown(uid, gid)
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(draft, name)
	}
	if err != nil {
		_ = root.Remove(draft)
	}
	return err
}

// readPlan reads what savePlan wrote, and returns the bytes, too: a signature is of them.
func readPlan(path string) (plan.Plan, []byte, error) {
	b, err := readBounded(path, savedMax)
	if err != nil {
		return plan.Plan{}, nil, fmt.Errorf("read plan: %w", err)
	}
	var s savedPlan
	if err := json.Unmarshal(b, &s); err != nil || s.Format != savedFormat {
		return plan.Plan{}, nil, fmt.Errorf("%s is not a plan saved by `blast plan --out`", path)
	}
	if s.Version != savedVersion || s.Plan.Version != plan.FormatVersion {
		return plan.Plan{}, nil, fmt.Errorf("%s was saved by blast %.40q in another format: plan again", path, s.Blast)
	}
	return s.Plan, b, nil
}

// readBounded reads a file that others may have put there.
func readBounded(path string, size int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to is empty
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, size+1))
	if err == nil && int64(len(b)) > size {
		err = fmt.Errorf("%s is larger than %d bytes", path, size)
	}
	return b, err
}
