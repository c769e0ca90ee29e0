package ndjson

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanPassesOverWhatIsNoLine(t *testing.T) {
	text := "one\n" + strings.Repeat("x", 2*MaxLine) + "\n\ntwo\nhalf"
	var got []string
	if err := Scan(strings.NewReader(text), func(b []byte) { got = append(got, string(b)) }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"one", "", "two"}, got); d != "" {
		t.Error(d)
	}
}

func lines(t *testing.T, n Name) []string {
	t.Helper()
	fs, err := Past(n)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(fs)
	var all []string
	for _, f := range fs {
		if err := Scan(f, func(b []byte) { all = append(all, string(b)) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestRecordIsBoundedAndOutlivesItsWriter: also one that died in the middle of a line, or
// of a turn.
func TestRecordIsBoundedAndOutlivesItsWriter(t *testing.T) {
	n := Name{Dir: t.TempDir(), Now: "a", Old: "a.old", MaxSize: 1000}
	if got := lines(t, n); len(got) != 0 {
		t.Fatal(got)
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "a"), []byte("1\n{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "a.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	if !w.Append([]byte("2")) {
		t.Fatal("not written")
	}
	if got := lines(t, n); !slices.Equal(got, []string{"1", "{half", "2"}) {
		t.Errorf("%q", got)
	}
	for range 100 {
		if !w.Append([]byte(strings.Repeat("3", 100))) {
			t.Fatal("not written")
		}
		if w.Full() {
			if err := w.Turn([]any{"head"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := lines(t, n)
	if size := len(strings.Join(got, "\n")); size > 2*(int(n.MaxSize)+200) || got[0] != `"head"` || w.Close() != nil {
		t.Errorf("%d bytes, begins with %q", size, got[0])
	}
}
