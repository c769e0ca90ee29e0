package crash

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// total counts what the suite did; it is printed at the end.
var total = tally{began: time.Now(), rows: map[string]*row{}}

// A tally counts strikes by their kind and story.
type tally struct {
	mu    sync.Mutex
	began time.Time
	rows  map[string]*row
}

type row struct {
	strikes, old, fresh int
	seconds             float64
}

// add counts a strike of a kind on a story, and where it ended.
func (y *tally) add(kind, story string, v verdict, took time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	name := fmt.Sprintf("%-22s %-14s", kind, story)
	r := y.rows[name]
	if r == nil {
		r = &row{}
		y.rows[name] = r
	}
	r.strikes++
	r.seconds += took.Seconds()
	switch v {
	case ended:
		r.old++
	case began:
		r.fresh++
	case neither:
	}
}

func (y *tally) String() string {
	var b strings.Builder
	var all row
	fmt.Fprintf(&b, "%-22s %-14s %8s %6s %6s %8s\n", "STRIKE", "STORY", "STRIKES", "OLD", "NEW", "SECONDS")
	for _, name := range slices.Sorted(maps.Keys(y.rows)) {
		r := y.rows[name]
		fmt.Fprintf(&b, "%s %8d %6d %6d %8.1f\n", name, r.strikes, r.old, r.fresh, r.seconds)
		all.strikes, all.old, all.fresh = all.strikes+r.strikes, all.old+r.old, all.fresh+r.fresh
	}
	fmt.Fprintf(&b, "%-37s %8d %6d %6d %8.1f\n", "all", all.strikes, all.old, all.fresh, time.Since(y.began).Seconds())
	return b.String()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(total.rows) > 0 {
		fmt.Print(total.String())
		if bin, err := bins(); err == nil {
			_ = os.RemoveAll(bin)
		}
	}
	os.Exit(code)
}
