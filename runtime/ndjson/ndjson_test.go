package ndjson

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	p, err := OpenPast(n)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all []string
	if err := p.Each(func(b []byte) error { all = append(all, string(b)); return nil }); err != nil {
		t.Fatal(err)
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

// A Past is one moment: what is written later isn't in it. An error ends it.
func TestPastIsOneMoment(t *testing.T) {
	n := Name{Dir: t.TempDir(), Now: "a", Old: "a.old", MaxSize: 1000}
	w, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	w.Append([]byte("1"))
	if err := w.Turn([]any{2}); err != nil {
		t.Fatal(err)
	}
	w.Append([]byte("3"))
	p, err := OpenPast(n)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w.Append([]byte("4"))
	if err := w.Turn(nil); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := p.Each(func(b []byte) error { got += string(b); return nil }); err != nil || got != "123" {
		t.Errorf("%q, %v", got, err)
	}
	if at, there := p.Written(); !there || time.Since(at) > time.Minute {
		t.Errorf("written %v, %v", at, there)
	}
	got = ""
	if err := p.Each(func(b []byte) error { got += string(b); return os.ErrClosed }); err != os.ErrClosed || got != "1" { //nolint:errorlint // it is that very one
		t.Errorf("%q, %v", got, err)
	}
}
