package track

import (
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
)

var start = time.Unix(1_800_000_000, 0)

func at(d time.Duration) access.Access {
	return access.Access{Time: start.Add(d), Op: filesystem.Delete, Path: "/workspace/a"}
}

// TestAlarmFiresAtTheThresholdWithinTheWindow, wherever that begins, and not for as many
// over a longer time.
func TestAlarmFiresAtTheThresholdWithinTheWindow(t *testing.T) {
	const window = 10 * time.Second
	for _, begin := range []time.Duration{0, 3 * time.Millisecond, 77 * time.Millisecond, 9999 * time.Millisecond} {
		a := &alarm{Alert: filesystem.Alert{Threshold: 5, Window: window}}
		for i := range 5 {
			if fires := a.add(at(begin + time.Duration(i)*(window-time.Millisecond)/4)); fires != (i == 4) {
				t.Errorf("from %v: fires at access %d: %v", begin, i+1, fires)
			}
		}
		slow := &alarm{Alert: filesystem.Alert{Threshold: 5, Window: window}}
		for i := range 50 {
			if slow.add(at(begin + time.Duration(i)*(window+2*window/steps)/4)) {
				t.Errorf("from %v: 5 in more than the window fired", begin)
			}
		}
	}
}

func TestAlarmFiresOnceInAWindow(t *testing.T) {
	a := &alarm{Alert: filesystem.Alert{Threshold: 2, Window: time.Second}}
	fired := 0
	for i := range 1000 { // ten seconds
		if a.add(at(time.Duration(i) * 10 * time.Millisecond)) {
			fired++
		}
	}
	if fired != 10 {
		t.Errorf("fired %d times in ten windows", fired)
	}
}

func TestAlarmCountsBytes(t *testing.T) {
	a := &alarm{Alert: filesystem.Alert{Bytes: 100, Window: time.Second}}
	x := at(0)
	for i, size := range []int64{60, 39, 1} {
		x.Size = size
		if a.add(x) != (i == 2) {
			t.Errorf("access %d", i)
		}
	}
}

// TestAlarmSurvivesClocks that go backwards, or far ahead.
func TestAlarmSurvivesClocks(t *testing.T) {
	a := &alarm{Alert: filesystem.Alert{Threshold: 3, Window: time.Second}}
	for i, d := range []time.Duration{0, -time.Hour, -2 * time.Hour} {
		if a.add(at(d)) != (i == 2) {
			t.Errorf("backwards: access %d", i)
		}
	}
	if a.add(at(200 * 365 * 24 * time.Hour)) {
		t.Error("far ahead: fired at the first access")
	}
}

func TestAlarmConcerns(t *testing.T) {
	a := &alarm{Alert: filesystem.Alert{Event: filesystem.Rename, Paths: []string{"*.pem"}}}
	for _, c := range []struct {
		x    access.Access
		want bool
	}{
		{access.Access{Op: filesystem.Rename, Path: "/w/a.pem"}, true},
		{access.Access{Op: filesystem.Rename, Path: "/w/a", To: "/w/b.pem"}, true},
		{access.Access{Op: filesystem.Rename, Path: "/w/a", To: "/w/b"}, false},
		{access.Access{Op: filesystem.Rename, Path: "/w/a"}, false},
		{access.Access{Op: filesystem.Delete, Path: "/w/a.pem"}, false},
	} {
		if got := a.concerns(c.x); got != c.want {
			t.Errorf("%+v: %v", c.x, got)
		}
	}
}
