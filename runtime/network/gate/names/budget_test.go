package names

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTunnelIsStarved: 1 MiB in names takes most of a day.
func TestTunnelIsStarved(t *testing.T) {
	b := NewBudget()
	now := time.Now()
	carried := 0
	for minute := range 60 {
		for i := range 1000 {
			name := fmt.Sprintf("%04d%04d%s", minute, i, strings.Repeat("x", 55)) + ".wild.example"
			if b.spend("*.wild.example", name, now.Add(time.Duration(minute)*time.Minute)) == "" {
				carried += 63
			}
		}
	}
	if most := burstBytes + 60*1024; carried > most || carried < burstBytes-63 {
		t.Errorf("an hour carries %d bytes, want %d to %d", carried, burstBytes-63, most)
	}
}

func TestShortNamesAreBounded(t *testing.T) {
	b := NewBudget()
	now := time.Now()
	given := 0
	var why string
	for i := range 5000 {
		if w := b.spend("*.wild.example", fmt.Sprintf("%d.wild.example", i), now); w == "" {
			given++
		} else {
			why = w
		}
	}
	if given != burstNames || !strings.Contains(why, "below *.wild.example") {
		t.Errorf("%d names at once, %q; want %d", given, why, burstNames)
	}
	if why := b.spend("*.other.example", "a.other.example", now); why != "" {
		t.Errorf("another wildcard has no budget of its own: %s", why)
	}
	if why := b.spend("*.wild.example", "later.wild.example", now.Add(2*everyName)); why != "" {
		t.Errorf("later: %s", why)
	}
}
