// Package packse reads the resolver scenarios of astral-sh/packse, which tests
// compare Blast's choices with, and serves the index of each.
package packse

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/testfixtures/pypi/vectors"
)

const file = "packse-single.tar.xz"

// Scenario is one case.
type Scenario struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Python      string `json:"python"` // 3.12
	Root        struct {
		Requires []string `json:"requires"` // PEP 508
	} `json:"root"`
	Options struct {
		Python   string   `json:"python"` // instead of Python
		Platform string   `json:"python_platform"`
		NoBinary []string `json:"no_binary"`
		NoBuild  []string `json:"no_build"`
	} `json:"options"`
	Expected struct {
		Satisfiable bool              `json:"satisfiable"`
		Packages    map[string]string `json:"packages"` // none: any that fit
	} `json:"expected"`

	dir string
}

// Each runs a subtest for every scenario. Without the corpus the test is skipped.
func Each(t *testing.T, check func(*testing.T, Scenario)) {
	t.Helper()
	corpora := os.Getenv(vectors.Env)
	if corpora == "" {
		t.Skipf("%s is unset: it names the folder with %s", vectors.Env, file)
	}
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-C", dir, "-xJf", filepath.Join(corpora, file)).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", file, err, out)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*", "scenario.json")) // only a bad pattern is an error
	if len(paths) == 0 {
		t.Fatalf("no scenario in %s", file)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		s := Scenario{dir: filepath.Dir(p)}
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		t.Run(s.Name, func(t *testing.T) { check(t, s) })
	}
	t.Logf("%d scenarios", len(paths))
}

// Projects are the names of the scenario's index.
func (s Scenario) Projects() (names []string) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "simple"))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// Serve serves the scenario on loopback until the test ends, as JSON or only as
// HTML, and returns the root of the simple API.
func (s Scenario) Serve(t testing.TB, htmlOnly bool) string {
	t.Helper()
	files := http.FileServer(http.Dir(s.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, isPage := strings.CutPrefix(r.URL.Path, "/simple/")
		if !isPage {
			files.ServeHTTP(w, r)
			return
		}
		name, kind := "index.html", "text/html"
		if !htmlOnly && slices.ContainsFunc(r.Header["Accept"], func(a string) bool { return strings.Contains(a, "simple.v1+json") }) {
			name, kind = "index.json", "application/vnd.pypi.simple.v1+json"
		}
		data, err := os.ReadFile(filepath.Join(s.dir, "simple", filepath.Clean("/"+page), name))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(data) // the client may be gone
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/simple"
}
