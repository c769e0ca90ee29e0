//go:build linux

package deny

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestCost says what the programs cost whoever is in no sandbox, in turn with and without
// them, and fails where that is more than a call can bear. -v shows the figures.
func TestCost(t *testing.T) {
	tap := needTap(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const calls, rounds = 2000, 3
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"open and close a file", func() {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}},
		{"open what is not there", func() { _, _ = os.Open(dir + "/absent") }},
		{"make a folder, and remove it", func() {
			if err := os.Mkdir(dir+"/d", 0o700); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(dir + "/d")
		}},
	} {
		var without, ratios []float64
		for range rounds {
			var took [2]time.Duration
			for i := range took {
				took[i] = average(t, tap, i == 1, calls, c.do)
			}
			without, ratios = append(without, float64(took[0].Nanoseconds())), append(ratios, float64(took[1])/float64(took[0]))
		}
		slices.Sort(without)
		slices.Sort(ratios)
		t.Logf("%s: %.0f ns, x %.2f (%.2f to %.2f)", c.what, without[rounds/2], ratios[rounds/2], ratios[0], ratios[rounds-1])
		if ratios[rounds/2] > 2 {
			t.Errorf("%s takes %.2f times as long", c.what, ratios[rounds/2])
		}
	}
}

// average is how long a call takes, with the programs or without them.
func average(t *testing.T, tap *Tap, with bool, calls int, do func()) time.Duration {
	t.Helper()
	if with {
		r, _, err := tap.Open(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
	}
	begun := time.Now()
	for range calls {
		do()
	}
	return time.Since(begun) / time.Duration(calls)
}
