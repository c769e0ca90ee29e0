package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func summed(t *testing.T, b []byte) []Summed {
	t.Helper()
	var out []Summed
	_, err := Sum(context.Background(), Source{R: bytes.NewReader(b), Bytes: int64(len(b))}, func(s Summed) error { out = append(out, s); return nil })
	do(t, err)
	return out
}

// Two entries are the same if all but their time is.
func TestSum(t *testing.T) {
	const attr = attrPrefix + userPrefix
	home, base := dir("home"), record(record(file("home/x", "text"), attr+"a", "1"), attr+"b", "2")
	mode := base
	mode.h.Mode = 0o700
	for name, other := range map[string]entry{
		"content":        record(record(file("home/x", "tExt"), attr+"a", "1"), attr+"b", "2"),
		"mode":           mode,
		"attribute":      record(base, attr+"b", "3"),
		"one less":       record(file("home/x", "text"), attr+"a", "1"),
		"one more":       record(base, attr+"c", ""),
		"value and name": record(file("home/x", "text"), attr+"a", "1\"\n\"user.b\"=\"2"),
		"kind":           special(tar.TypeSymlink, "home/x", "text"),
		"hole":           record(record(record(file("home/x", "1\n4\n4\ntext"), attr+"a", "1"), attr+"b", "2"), sparseRecord, "8"),
	} {
		a, b := summed(t, archive(t, home, base)), summed(t, archive(t, home, other))
		if a[1].Same(b[1]) || !a[0].Same(b[0]) {
			t.Errorf("%s: %+v and %+v", name, a[1], b[1])
		}
	}
	if a := summed(t, archive(t, home, base)); !a[1].Same(summed(t, archive(t, home, base))[1]) {
		t.Errorf("it differs from itself: %+v", a[1])
	}
}

// What is kept of an entry is its name, and not the attributes that came with it.
func TestSumKeepsLittle(t *testing.T) {
	const n, size = 200, 60 << 10
	es := []entry{dir("home")}
	for i := range n {
		es = append(es, record(file(fmt.Sprintf("home/ä%04d", i), ""), attrPrefix+"user.x", strings.Repeat("x", size)))
	}
	b := archive(t, es...)
	before := heap()
	got := summed(t, b)
	kept := heap() - before
	runtime.KeepAlive(es)
	runtime.KeepAlive(b)
	runtime.KeepAlive(got)
	if len(got) != n+1 || kept > n*size/10 {
		t.Errorf("%d entries take %d KiB", len(got), kept>>10)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
