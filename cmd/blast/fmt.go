package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config"
)

type fmtCmd struct {
	Files []string `arg:"" optional:"" help:"Files; - is stdin. Without any: blast.hcl."`
	Check bool     `help:"Write nothing; exit with 3 if a file is not formatted."`
	Diff  bool     `help:"Show which lines change."`
}

const fmtMax = 4 << 20

// Run formats files in place.
func (cmd *fmtCmd) Run(u *ui) error {
	files := cmd.Files
	if len(files) == 0 {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		path, err := config.Find(dir)
		if err != nil {
			return errors.New("no blast.hcl here or in a folder above")
		}
		files = []string{path}
	}
	changed := false
	for _, name := range files {
		did, err := cmd.format(u, name)
		if err != nil {
			return err
		}
		changed = changed || did
	}
	if cmd.Check && changed {
		return statusError{exitUnformat}
	}
	return nil
}

func (cmd *fmtCmd) format(u *ui, name string) (bool, error) {
	src, err := readSource(u, name)
	if err != nil {
		return false, err
	}
	if file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		return false, &configError{diags, map[string]*hcl.File{name: file}}
	}
	out := config.Format(src)
	same := bytes.Equal(src, out)
	if name == "-" && !cmd.Check {
		return !same, printAll(u.stdout, out)
	}
	if same {
		return false, nil
	}
	if err := printAll(u.stdout, []byte(name+"\n")); err != nil {
		return true, err
	}
	if cmd.Diff {
		if err := printAll(u.stdout, lineDiff(src, out)); err != nil {
			return true, err
		}
	}
	if cmd.Check {
		return true, nil
	}
	return true, rewrite(name, out)
}

func readSource(u *ui, name string) ([]byte, error) {
	f := u.stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
	}
	src, err := io.ReadAll(io.LimitReader(f, fmtMax+1))
	if err != nil {
		return nil, err
	}
	if len(src) > fmtMax {
		return nil, fmt.Errorf("%s is larger than 4 MiB", name)
	}
	return src, config.Guard(src, name)
}

// rewrite replaces a file in one step, so that a full disk or a crash loses
// nothing, and keeps its mode and owner. A link stays one.
func rewrite(name string, b []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".blast-fmt-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && err == nil && int(st.Uid) != os.Geteuid() {
		err = f.Chown(int(st.Uid), int(st.Gid))
	}
	err = errors.Join(err, f.Chmod(fi.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// lineDiff shows the lines that differ. Formatting moves no line, so lines are
// compared in pairs.
func lineDiff(a, b []byte) []byte {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	var out bytes.Buffer
	for i := range max(len(as), len(bs)) {
		var x, y []byte
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if !bytes.Equal(x, y) {
			fmt.Fprintf(&out, "%d:\n-%s\n+%s\n", i+1, x, y)
		}
	}
	return out.Bytes()
}
