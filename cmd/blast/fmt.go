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
			return errors.New("no blast.hcl here or in a folder above; name the files, or let `blast init` write one")
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
		return !same, printAll(u.out, out)
	}
	if same {
		return false, nil
	}
	if err := printAll(u.out, []byte(name+"\n")); err != nil {
		return true, err
	}
	if cmd.Diff {
		if err := printAll(u.out, lineDiff(src, out)); err != nil {
			return true, err
		}
	}
	if cmd.Check {
		return true, nil
	}
	return true, rewrite(name, src, out)
}

func readSource(u *ui, name string) ([]byte, error) {
	f := u.stdin
	if name != "-" {
		var err error
		if f, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil { // a pipe that nobody writes to is empty
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

// rewrite replaces a file that holds old, and keeps its mode and owner. A link
// stays one, but not one that was put there since the file was read.
func rewrite(name string, old, b []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	base := filepath.Base(name)
	f, err := root.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := io.ReadAll(io.LimitReader(f, fmtMax+1))
	if err != nil || !fi.Mode().IsRegular() || !bytes.Equal(now, old) {
		return fmt.Errorf("%s was changed meanwhile; nothing was written", name)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	return replaceIn(root, base, b, fi.Mode().Perm(), uid, gid)
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
