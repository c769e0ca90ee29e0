//go:build linux

package sandbox

import (
	"bufio"
	"strings"
	"testing"
)

func TestPickIDs(t *testing.T) {
	const id = "0123456789ab"
	first, ok := pickIDs(id, nil)
	if !ok || first.Base%idsSize != 0 || first.Base < idsFirst {
		t.Fatalf("%+v %v", first, ok)
	}
	// Anything that touches the range, by one id, makes it another.
	for _, s := range []span{{uint64(first.Base), uint64(first.Base)}, {0, uint64(first.Base)}, {uint64(first.Base) + idsSize - 1, 1 << 40}} {
		next, _ := pickIDs(id, []span{s})
		if next == first {
			t.Errorf("%+v is taken by %+v", first, s)
		}
	}
	for _, s := range []span{{0, uint64(first.Base) - 1}, {uint64(first.Base) + idsSize, 1 << 40}} {
		if same, _ := pickIDs(id, []span{s}); same != first {
			t.Errorf("%+v is free beside %+v, but %+v was given", first, s, same)
		}
	}
	if ids, ok := pickIDs(id, []span{{0, 1 << 40}}); ok {
		t.Errorf("all is taken, but %+v was given", ids)
	}
}

func TestSubordinate(t *testing.T) {
	text := "root:100000:65536\n# comment\nuser:1879048192:65536\n\nbroken:x:1\nshort:1\nnone:5:0\n"
	got := subordinate(bufio.NewScanner(strings.NewReader(text)))
	want := []span{{100000, 165535}, {1879048192, 1879113727}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, want %v", got, want)
	}
}
