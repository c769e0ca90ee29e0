package words_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/ttl"
)

var update = flag.Bool("update", false, "write docs/REFERENCE.md")

const head = `# blast.hcl: the reference

Every word that this version reads. Generated from the declarations that it is read by
(` + "`go test ./runtime/kinds/words -update`" + `); a test fails when it is stale. How the words go together is in
[blast.hcl.example](../blast.hcl.example).

Sizes are "512MiB" or "1GB" (IEC's units are powers of two, SI's of ten), times "50ms"; a bare number where a unit
is needed is an error. Strings are strings: nothing is converted.

## The file

`

const environment = `## An environment

These stand at the top of the file, or in an ` + "`environment`" + ` block. Each may be left out.

`

func reference() string {
	blocks := append([]block.Block{}, packages.Specs...)
	blocks = append(blocks, network.Spec, resource.Spec, filesystem.Spec)
	blocks = append(blocks, process.Specs...)
	blocks = append(blocks, check.Spec)
	text := head + block.Reference(3, nil, config.FileBlocks) + environment + block.Reference(3, slices.Concat(process.Attrs, ttl.Attrs), blocks)
	return strings.TrimRight(text, "\n") + "\n"
}

func TestReferenceIsFresh(t *testing.T) {
	const path = "../../../docs/REFERENCE.md"
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: go test ./runtime/kinds/words -update", path)
	}
}

// A word that can be written is a word that is explained.
func TestReferenceHasEveryWord(t *testing.T) {
	text := reference()
	for _, w := range words.All {
		s := w.Schema()
		for _, a := range s.Attributes {
			if !strings.Contains(text, "- **`"+a.Name+"`**") {
				t.Errorf("%s: no word about %s", w.Name(), a.Name)
			}
		}
		for _, b := range s.Blocks {
			if !strings.Contains(text, "### "+b.Type) {
				t.Errorf("%s: no word about %s", w.Name(), b.Type)
			}
		}
	}
}
