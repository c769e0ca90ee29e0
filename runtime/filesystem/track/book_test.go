package track

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/state"
)

func want(t *testing.T, b *book, alerts []filesystem.Alert) {
	t.Helper()
	if err := b.want(state.Env{}, alerts); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *book {
	t.Helper()
	b, err := openBook(dir, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.close("end of test") })
	return b
}

func shown(t *testing.T, b *book) (all []any) {
	t.Helper()
	err := b.show(context.Background(), false, func(line json.RawMessage) error {
		v, err := access.Decode(line)
		all = append(all, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func count[T any](all []any) (n int) {
	for _, v := range all {
		if _, ok := v.(*T); ok {
			n++
		}
	}
	return n
}

func last[T any](t *testing.T, all []any) T {
	t.Helper()
	for i := len(all) - 1; i >= 0; i-- {
		if v, ok := all[i].(*T); ok {
			return *v
		}
	}
	t.Fatalf("none among %d lines", len(all))
	panic("unreachable")
}

func write(path string, d time.Duration) access.Access {
	return access.Access{Time: start.Add(d), Op: filesystem.Write, Path: path, Size: 3, Process: access.Process{HostPID: 7, Command: "sh"}}
}

// TestTheSameIsNotedOnce within a second; by another process, or later, it is another.
func TestTheSameIsNotedOnce(t *testing.T) {
	b := open(t, t.TempDir())
	for _, d := range []time.Duration{0, sameFor - 1, 2 * sameFor} {
		b.add(write("/workspace/a", d))
	}
	other := write("/workspace/a", 2*sameFor)
	other.HostPID = 8
	b.add(other)
	all := shown(t, b)
	if n := count[access.Access](all); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
	if got := last[access.Totals](t, all); got.Ops["write"] != 3 || got.Bytes["write"] != 9 {
		t.Errorf("%+v", got)
	}
}

// TestFloodIsBounded: in the file and in memory; what has no line is counted, and alerts
// see it.
func TestFloodIsBounded(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	want(t, b, []filesystem.Alert{{Name: "many", Event: filesystem.Write, Threshold: 3 * burst, Window: time.Hour, Action: filesystem.Log}})
	for i := range 3 * burst {
		b.add(write(fmt.Sprintf("/workspace/%d/%s", i, strings.Repeat("x", 300)), 0))
	}
	all := shown(t, b)
	totals := last[access.Totals](t, all)
	if totals.Ops["write"] != 3*burst || totals.Missed != 2*burst || count[access.Alert](all) != 1 {
		t.Errorf("%+v, %d alerts", totals, count[access.Alert](all))
	}
	if len(b.recent) > maxRecent || b.paths.used.Len() > maxPaths || len(b.paths.of) > maxPaths {
		t.Errorf("%d accesses and %d paths are remembered", len(b.recent), b.paths.used.Len())
	}
	size := int64(0)
	for _, name := range []string{access.File, access.OldFile} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += fi.Size()
		}
	}
	if size > 2*(maxSize+ndjson.MaxLine) {
		t.Errorf("%d bytes on disk", size)
	}
}

// TestNextBookGoesOn with the totals and the history, and knows since when nobody looked.
func TestNextBookGoesOn(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *book) string{
		"closed": func(t *testing.T, b *book) string {
			if err := b.close("it was told to"); err != nil {
				t.Fatal(err)
			}
			return "it was told to"
		},
		"killed": func(_ *testing.T, b *book) string { b.beat(); return "blastd was killed" },
	} {
		dir := t.TempDir()
		b := open(t, dir)
		b.add(write("/workspace/a", 0))
		b.add(write("/workspace/b", 0))
		want := last[access.Totals](t, shown(t, b))
		reason := leave(t, b)
		all := shown(t, open(t, dir))
		got := last[access.Totals](t, all)
		if d := cmp.Diff(want.Ops, got.Ops); d != "" || count[access.Access](all) != 2 || count[access.Path](all) != 2 {
			t.Errorf("%s: %s", name, d)
		}
		if gap := last[access.Gap](t, all); gap.Reason != reason || gap.To.Before(gap.From) || time.Since(gap.From) > time.Minute {
			t.Errorf("%s: %+v", name, gap)
		}
	}
}

// TestTurnOfTheFile: what falls out of it is still in the totals of the next book.
func TestTurnOfTheFile(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	b.limit.SetLimit(1e9)
	n := 3 * maxSize / 4000
	for i := range n {
		b.add(write(fmt.Sprintf("/workspace/%d/%s", i, strings.Repeat("y", 3900)), 0))
	}
	if err := b.close("end"); err != nil {
		t.Fatal(err)
	}
	all := shown(t, open(t, dir))
	if totals := last[access.Totals](t, all); totals.Ops["write"] != uint64(n) || count[access.Access](all) >= n {
		t.Errorf("%d of %d, %d lines", totals.Ops["write"], n, count[access.Access](all))
	}
}

// TestGapFiresWhatStops, if the sandbox made it, and only what counts what may be lost.
func TestGapFiresWhatStops(t *testing.T) {
	for _, c := range []struct {
		own    bool
		event  string
		action string
		want   int
	}{
		{true, filesystem.Delete, filesystem.Kill, 1},
		{true, filesystem.Delete, filesystem.Freeze, 1},
		{true, filesystem.Delete, filesystem.Log, 0},
		{true, filesystem.Write, filesystem.Kill, 0},
		{false, filesystem.Delete, filesystem.Kill, 0},
	} {
		b := open(t, t.TempDir())
		want(t, b, []filesystem.Alert{{Name: "x", Event: c.event, Threshold: 100, Window: time.Minute, Action: c.action}})
		for range 3 { // once in a window
			b.gap(access.Gap{From: start, To: start, Lost: 1, Reason: "full"}, c.own, filesystem.Delete, filesystem.Create)
		}
		all := shown(t, b)
		if n := count[access.Alert](all); n != c.want || count[access.Gap](all) != 3 || last[access.Totals](t, all).Lost != 3 {
			t.Errorf("%+v: %d alerts", c, n)
		}
	}
}

// TestSlowReader misses lines and is told so; the watch never waits.
func TestSlowReader(t *testing.T) {
	b := open(t, t.TempDir())
	b.limit.SetLimit(1e9)
	const n = 3 * ndjson.MaxQueue
	ready, written := make(chan struct{}), make(chan struct{})
	enough := errors.New("enough")
	seen, missed := 0, uint64(0)
	done := make(chan error, 1)
	go func() {
		done <- b.show(context.Background(), true, func(line json.RawMessage) error {
			switch v, _ := access.Decode(line); v := v.(type) {
			case *access.Totals:
				close(ready)
				<-written
			case *access.Access:
				seen++
			case *access.Missed:
				missed += v.Lines
			}
			if seen+int(missed) == n {
				return enough
			}
			return nil
		})
	}()
	<-ready
	for i := range n {
		b.add(write(fmt.Sprint("/workspace/", i), 0))
	}
	close(written)
	if err := <-done; !errors.Is(err, enough) || missed == 0 || b.readers.Len() != 0 {
		t.Errorf("%v: %d seen, %d missed", err, seen, missed)
	}
}

// TestWhatASandboxChoseFitsALine, and is JSON.
func TestWhatASandboxChoseFitsALine(t *testing.T) {
	b := open(t, t.TempDir())
	x := write("/workspace/"+strings.Repeat("\x01", 5000), 0)
	x.To, x.Command, x.Script = strings.Repeat("\xff", 5000), strings.Repeat("\n", 500), strings.Repeat("é", 500)
	b.add(x)
	b.add(write("/workspace/next", 0))
	if all := shown(t, b); count[access.Access](all) != 2 {
		t.Errorf("%d lines can be read, want 2", count[access.Access](all))
	}
}
