package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/ttl"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

// today is a day on which the rules of the test files expire, and don't.
var today = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func words() []config.Words {
	return []config.Words{
		resource.Words{}, network.Words{Now: func() time.Time { return today }}, packages.Words{}, process.Words{}, filesystem.Words{}, check.Words{}, ttl.Words{},
	}
}

func options() config.Options {
	return config.Options{Words: words(), Version: "0.1.0-dev", UID: 1234567, GID: 1234567}
}

// project makes a folder with a blast.hcl and what the test files refer to.
func project(t testing.TB, src string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"models/inner", "secrets", ".blast", ".git/hooks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("models", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "requirements.txt"), "flask>=3\n-e .\nrequests=>2\n")
	write(t, filepath.Join(dir, "blast.hcl"), src)
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, dir string, opts config.Options) (*config.File, hcl.Diagnostics) {
	t.Helper()
	return config.Load(filepath.Join(dir, "blast.hcl"), opts)
}

// lines writes each diagnostic as place, severity, summary and detail.
func lines(dir string, diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		level := "error"
		if d.Severity == hcl.DiagWarning {
			level = "warning"
		}
		r := *d.Subject
		name := strings.TrimPrefix(r.Filename, "blast.hcl")
		fmt.Fprintf(&b, "%s%d:%d-%d:%d %s: %s\n\t%s\n", name, r.Start.Line, r.Start.Column, r.End.Line, r.End.Column, level, d.Summary, strings.ReplaceAll(strings.ReplaceAll(d.Detail, dir, "PROJECT"), filepath.Dir(dir), "PARENT"))
	}
	return b.String()
}

// Each testdata/NAME.hcl has mistakes, and NAME.want says for each of them where
// it points and what it says. To accept a change: go test -run Golden -update.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hcl"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := project(t, string(src))
			_, diags := load(t, dir, options())
			got := lines(dir, diags)
			wantFile := strings.TrimSuffix(file, ".hcl") + ".want"
			if *update {
				write(t, wantFile, got)
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("want - got +\n%s", d)
			}
			// The same again, in the same order.
			_, again := load(t, dir, options())
			if d := cmp.Diff(got, lines(dir, again)); d != "" {
				t.Errorf("a second run says something else:\n%s", d)
			}
		})
	}
}

// What a detail gives to copy keeps its lines and their depth.
func TestDetailIsThereToCopy(t *testing.T) {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Rule", Detail: strings.Repeat("word ", 12) + "\n  egress \"a\" {\n    ports   = [443]\n  }"}
	var b strings.Builder
	config.WriteDiagnostics(&b, nil, hcl.Diagnostics{d}, false, 40)
	if want := "\n    egress \"a\" {\n      ports   = [443]\n    }\n"; !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "word\n  word") {
		t.Errorf("no %q in:\n%s", want, b.String())
	}
}
