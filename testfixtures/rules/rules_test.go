// Package rules holds the rules of the architecture as tests: which package may
// import which, and why; and that every package says what it is for.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "blast.example/blast"

// pkg is what `go list -json` says about a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	CgoFiles   []string
	Standard   bool
}

func (p pkg) rel() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func packages(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps,GoFiles,CgoFiles,Standard"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

// within are packages below a path, or the path itself.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// pure packages decide; they may not touch the host's kernel.
var rules = []struct {
	who    string   // package and all below it
	except []string // but not these
	never  []string // imports that it may not have, itself or through others
	why    string
}{
	{"plan", nil, []string{"os", "net", "time", "syscall", "golang.org/x/sys", module + "/state", module + "/apply", module + "/runtime"},
		"what changes is worked out from values alone, so that it can be tested with values"},
	{"state", nil, []string{module + "/apply", module + "/runtime", module + "/config", "net"},
		"records know nothing of kinds"},
	{"apply", nil, []string{module + "/runtime", module + "/config", "net"},
		"the transaction knows owners only by their interface: a new kind needs no change here"},
	{"config", nil, []string{module + "/state", module + "/apply", module + "/runtime", "net/http", "os/exec"},
		"reading a file must do nothing but read"},
	{"cmd/blast", nil, []string{"github.com/opencontainers/runc", "github.com/google/nftables", "github.com/vishvananda/netlink", "github.com/miekg/dns"},
		"the command line starts in milliseconds and holds no privilege worth having"},
	{"cmd/blast-front", nil, []string{"github.com/hashicorp/hcl/v2", "github.com/alecthomas/kong", "github.com/zclconf/go-cty", "golang.org/x/net", "golang.org/x/crypto", "net/http", module + "/config", module + "/state/snapshot"},
		"it is on the way of every command: what it links is paid for at each start"},
	{"cmd/blast-init", nil, []string{"github.com/opencontainers/runc", "github.com/google/nftables", "github.com/hashicorp/hcl/v2", "net/http"},
		"PID 1 of each sandbox is small: its memory counts once per sandbox"},
	{"", []string{"runtime/sandbox", "runtime/process/host", "runtime/filesystem/mounts", "runtime/filesystem/track", "runtime/filesystem/room", "runtime/filesystem/host", "runtime/check/trial", "runtime/kinds/hosts", "cmd/blastd", "testfixtures"}, []string{"github.com/opencontainers/runc/libcontainer"},
		"libcontainer's API is not stable: it stays behind runtime/sandbox"},
}

func TestImports(t *testing.T) {
	all := packages(t, "-tags", "seccomp", "./...")
	for _, p := range all {
		for _, r := range rules {
			if !within(p.rel(), r.who) && r.who != "" || slices.ContainsFunc(r.except, func(e string) bool { return within(p.rel(), e) }) {
				continue
			}
			for _, dep := range p.Deps {
				for _, never := range r.never {
					if !within(dep, never) || dep == "os" && !direct(p, dep) || isStdlib(never) && !direct(p, dep) {
						continue
					}
					t.Errorf("%s imports %s: %s", p.ImportPath, dep, r.why)
				}
			}
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d packages seen", len(all))
	}
}

// A package of the standard library is forbidden where it is named: hcl imports
// os, too, and that is its own business.
func isStdlib(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func direct(p pkg, dep string) bool { return slices.Contains(p.Imports, dep) }

// The standard library has cgo files that CGO_ENABLED=0 leaves out; anybody
// else's would be missed.
func TestNoCgo(t *testing.T) {
	all := packages(t, "-deps", "./cmd/blast", "./cmd/blast-front", "./cmd/blast-init")
	for _, p := range all {
		if len(p.CgoFiles) > 0 && !p.Standard {
			t.Errorf("%s needs cgo: blast and blast-init are built without", p.ImportPath)
		}
	}
	if len(all) < 50 {
		t.Errorf("only %d packages seen", len(all))
	}
}

// Only runtime/sandbox names libcontainer in its imports.
func TestLibcontainerHasOneImporter(t *testing.T) {
	found := false
	for _, p := range packages(t, "-tags", "seccomp", "./...") {
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "github.com/opencontainers/runc") {
				continue
			}
			found = true
			if p.rel() != "runtime/sandbox" {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
	if !found {
		t.Error("nobody imports libcontainer: is this test looking at the right packages?")
	}
}

// The host half of a kind is no part of its words, or the command line would link it.
func TestWordsDoNotLinkHosts(t *testing.T) {
	for _, p := range packages(t, "./runtime/kinds/words") {
		for _, dep := range p.Deps {
			for _, half := range []string{"runtime/network/gate", "runtime/resource/cgroup", "runtime/filesystem/mounts", "runtime/packages/generation", "runtime/process/host", "runtime/check/trial", "runtime/ttl/deadline", "runtime/sandbox"} {
				if within(strings.TrimPrefix(dep, module+"/"), half) {
					t.Errorf("words links %s", dep)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t, "-tags", "seccomp", "./...") {
		if len(p.GoFiles) > 0 && len(strings.Fields(p.Doc)) < 5 {
			t.Errorf("%s has no package comment worth the name: %q", p.ImportPath, p.Doc)
		}
	}
}

// Names that say nothing hide code that has no home.
func TestNoPackageIsCalledUtils(t *testing.T) {
	for _, p := range packages(t, "-tags", "seccomp", "./...") {
		last := p.rel()[strings.LastIndex(p.rel(), "/")+1:]
		if slices.Contains([]string{"util", "utils", "common", "helpers", "manager", "types", "misc"}, last) {
			t.Errorf("%s: call it by what it does", p.ImportPath)
		}
	}
}
