// Command corpus keeps what fuzzing found: of the inputs in Go's fuzz cache those that
// run code which neither the seeds nor smaller inputs run. They go to testdata/fuzz of the
// package, from where every go test takes them.
//
//	go run ./testfixtures/corpus [-from FOLDER] ./runtime/network/gate/relay FuzzHTTP
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is kept.
const (
	maxInput = 8 << 10 // bytes of one
	maxAll   = 200 << 10
)

func main() {
	from := flag.String("from", "", "take inputs from there, not from Go's cache")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: corpus [-from FOLDER] PACKAGE FUZZTEST")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Arg(1), *from); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(pkg, fuzz, from string) error {
	b, err := exec.Command("go", "list", "-f", "{{.Dir}}\n{{.ImportPath}}", pkg).Output()
	if err != nil {
		return fmt.Errorf("find %s: %w", pkg, err)
	}
	dir, path, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if from == "" {
		b, err := exec.Command("go", "env", "GOCACHE").Output()
		if err != nil {
			return err
		}
		from = filepath.Join(strings.TrimSpace(string(b)), "fuzz", path, fuzz)
	}
	work, err := os.MkdirTemp("", "corpus-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	t := &target{fuzz: fuzz, dir: work, binary: filepath.Join(work, "test"), covered: map[string]bool{}}
	// What a target reads with is as often a library's.
	build := exec.Command("go", "test", "-c", "-tags", "seccomp", "-cover", "-coverpkg", path+",net/http,net/http/httputil,crypto/tls,encoding/json,github.com/miekg/dns", "-o", t.binary, pkg)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return t.choose(from, filepath.Join(dir, "testdata", "fuzz", fuzz))
}

// A target is a fuzz test that tells what an input covers.
type target struct {
	fuzz, dir, binary string
	covered           map[string]bool // blocks of the profile
}

// An input is a file of a corpus.
type input struct {
	name string
	data []byte
}

// choose copies from one folder to another what adds to the coverage. What is there stays.
func (t *target) choose(from, to string) error {
	if _, err := t.adds("seed#"); err != nil {
		return err
	}
	kept, err := read(to)
	if err != nil {
		return err
	}
	found, err := read(from)
	if err != nil {
		return err
	}
	size := 0
	for _, in := range kept {
		size += len(in.data)
		if _, err := t.try(in); err != nil {
			return err
		}
	}
	added := 0
	for _, in := range found {
		if len(in.data) > maxInput || size+len(in.data) > maxAll {
			continue
		}
		more, err := t.try(in)
		if err != nil {
			return err
		}
		if more == 0 {
			continue
		}
		if err := errors.Join(os.MkdirAll(to, 0o755), os.WriteFile(filepath.Join(to, in.name), in.data, 0o644)); err != nil { //nolint:gosec // sources are readable
			return err
		}
		added++
		size += len(in.data)
	}
	fmt.Fprintf(os.Stderr, "%s: %d of %d inputs are added to %d; all together have %d bytes and run %d blocks\n", t.fuzz, added, len(found), len(kept), size, len(t.covered))
	return nil
}

// read lists the inputs in a folder, small ones first. None is there at first.
func read(dir string) (all []input, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, input{e.Name(), data})
	}
	slices.SortFunc(all, func(a, b input) int {
		return cmp.Or(cmp.Compare(len(a.data), len(b.data)), strings.Compare(a.name, b.name))
	})
	return all, nil
}

// try runs one input and tells how many blocks it adds.
func (t *target) try(in input) (int, error) {
	file := filepath.Join(t.dir, "testdata", "fuzz", t.fuzz, in.name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, in.data, 0o600)); err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(file) }()
	return t.adds("^" + in.name + "$")
}

// adds runs inputs by name and tells how many blocks they add.
func (t *target) adds(name string) (int, error) {
	profile := filepath.Join(t.dir, "profile")
	c := exec.Command(t.binary, "-test.run", "^"+t.fuzz+"$/"+name, "-test.coverprofile", profile)
	c.Dir = t.dir
	if out, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s/%s fails: %w\n%s", t.fuzz, name, err, out)
	}
	f, err := os.Open(profile)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	more := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		// file:line.column,line.column statements count
		block, count, ok := strings.Cut(s.Text(), " ")
		if ok && !strings.HasSuffix(count, " 0") && strings.Contains(block, ",") && !t.covered[block] {
			t.covered[block] = true
			more++
		}
	}
	return more, nil
}
