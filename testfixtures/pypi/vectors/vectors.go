// Package vectors reads the packaging test vectors of the PyPA, which tests
// compare Blast's answers with: one JSON object a line, gzipped, each with a
// "kind", operands and "want".
package vectors

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Env names the environment variable with the folder of the corpora.
const Env = "BLAST_CONFORMANCE"

const file = "pypa-packaging-vectors.jsonl.gz"

// Each decodes every vector of a kind into a T and calls check, and fails when
// there is none. Without the corpus the test is skipped.
func Each[T any](t *testing.T, kind string, check func(*testing.T, T)) {
	t.Helper()
	dir := os.Getenv(Env)
	if dir == "" {
		t.Skipf("%s is unset: it names the folder with %s", Env, file)
	}
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if !isKind(lines.Bytes(), kind) {
			continue
		}
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		n++
		check(t, v)
	}
	if n == 0 {
		t.Fatalf("no vector of kind %q in %s", kind, file)
	}
	t.Logf("%d vectors of kind %s", n, kind)
}

func isKind(line []byte, kind string) bool {
	var head struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal(line, &head) == nil && head.Kind == kind
}
