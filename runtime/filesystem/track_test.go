package filesystem

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

func tracked(t *testing.T, inner string) (Track, []plan.Object) {
	t.Helper()
	objs, diags := configtest.Load(t, project(t, inner), Words{})
	if diags.HasErrors() {
		t.Fatalf("unexpected: %v", diags)
	}
	return configtest.Decode[Track](t, objs, TrackAddr), objs
}

// TestNothingIsTrackedUnlessAsked: it costs something.
func TestNothingIsTrackedUnlessAsked(t *testing.T) {
	for _, inner := range []string{"", "track {\n  level = \"none\"\n}"} {
		objs, diags := configtest.Load(t, project(t, inner), Words{})
		if diags.HasErrors() || len(objs) != 1 {
			t.Errorf("%q: %v %v", inner, objs, diags)
		}
	}
}

func TestTrackDefaults(t *testing.T) {
	got, objs := tracked(t, `workspace {
  source = "."
}
mount "/models" {
  source = "src"
}
track {
  level = "all"
}
alert "b" {
  event     = "delete"
  threshold = 2
}
alert "c" {
  event      = "denied"
  first_seen = true
}
alert "d" {
  event      = "read"
  first_seen = true
  learn      = "7m"
  threshold  = 3
}
alert "a" {
  event  = "write"
  bytes  = "1MiB"
  window = "1m"
  paths  = ["*.bin", "*.bin"]
  action = "kill"
}`)
	want := Track{Level: All, Paths: []string{"/home/sandbox", "/models", "/tmp", "/var/tmp", "/workspace"}, Alerts: []Alert{
		{Name: "a", Event: Write, Bytes: 1 << 20, Window: time.Minute, Paths: []string{"*.bin"}, Action: Kill},
		{Name: "b", Event: Delete, Threshold: 2, Window: 10 * time.Second, Action: Log},
		{Name: "c", Event: Denied, Threshold: 1, Window: 10 * time.Second, Action: Log, FirstSeen: true, Learn: time.Hour},
		{Name: "d", Event: Read, Threshold: 3, Window: 10 * time.Second, Action: Log, FirstSeen: true, Learn: 7 * time.Minute},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, o := range objs {
		if o.Addr == TrackAddr && (plan.PlaceOf(o.Src, "alert.b") != "blast.hcl:11" || plan.PlaceOf(o.Src, "track") != "blast.hcl:8" || plan.PlaceOf(o.Src, "") != "blast.hcl:8") {
			t.Errorf("places: %v", o.Src)
		}
	}
}

// TestLessIsSeenWidens, and more narrows: of what a sandbox does, not of what it may.
func TestLessIsSeenWidens(t *testing.T) {
	alert := func(change func(*Alert)) *Track {
		a := Alert{Name: "x", Event: Delete, Threshold: 10, Window: time.Second, Action: Freeze, Paths: []string{"/workspace/src"}}
		if change != nil {
			change(&a)
		}
		return &Track{Level: Writes, Paths: []string{"/workspace"}, Alerts: []Alert{a}}
	}
	level := func(level string, paths ...string) *Track { return &Track{Level: level, Paths: paths} }
	usual := alert(nil)
	for name, c := range map[string]struct {
		from, to *Track
		want     plan.Access // of the item that differs; the reverse is its opposite
	}{
		"on":              {nil, level(Writes, "/workspace"), plan.Narrow},
		"level":           {level(Writes, "/workspace"), level(All, "/workspace"), plan.Narrow},
		"path more":       {level(Writes, "/workspace"), level(Writes, "/tmp", "/workspace"), plan.Narrow},
		"path above":      {level(Writes, "/workspace/src"), level(Writes, "/workspace"), plan.Narrow},
		"another path":    {level(Writes, "/workspace"), level(Writes, "/tmp"), plan.Both},
		"level and path":  {level(All, "/workspace"), level(Writes, "/tmp", "/workspace"), plan.Both},
		"alert more":      {level(Writes, "/workspace"), usual, plan.Narrow},
		"threshold":       {usual, alert(func(a *Alert) { a.Threshold = 5 }), plan.Narrow},
		"window":          {usual, alert(func(a *Alert) { a.Window *= 2 }), plan.Narrow},
		"action":          {usual, alert(func(a *Alert) { a.Action = Kill }), plan.Narrow},
		"of all paths":    {usual, alert(func(a *Alert) { a.Paths = nil }), plan.Narrow},
		"another event":   {usual, alert(func(a *Alert) { a.Event = Write }), plan.Both},
		"both ways":       {usual, alert(func(a *Alert) { a.Action, a.Threshold = Kill, 20 }), plan.Both},
		"bytes as well":   {alert(func(a *Alert) { a.Event = Write }), alert(func(a *Alert) { a.Event, a.Bytes = Write, 5 }), plan.Narrow},
		"only new":        {usual, alert(func(a *Alert) { a.FirstSeen, a.Learn = true, time.Hour }), plan.Widen},
		"learns longer":   {alert(func(a *Alert) { a.FirstSeen, a.Learn = true, time.Hour }), alert(func(a *Alert) { a.FirstSeen, a.Learn = true, 2*time.Hour }), plan.Widen},
		"of another path": {usual, alert(func(a *Alert) { a.Paths = []string{"/workspace/doc"} }), plan.Both},
	} {
		for _, back := range []bool{false, true} {
			from, to, want := c.from, c.to, c.want
			if back {
				from, to, want = to, from, opposite(want)
			}
			d := Words{}.Describe(changeOf(from, to))
			var got []plan.Access
			for _, it := range d.Items {
				if it.Before == it.After {
					t.Errorf("%s: %+v shows no difference", name, it)
				}
				got = append(got, it.Access)
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("%s, back %v: %v, want %v", name, back, got, want)
			}
		}
	}
	if d := (Words{}).Describe(changeOf(usual, usual)); len(d.Items) != 0 || d.Summary != "writes in /workspace, 1 alert" {
		t.Errorf("%+v", d)
	}
	if d := (Words{}).Describe(plan.Change{Addr: TrackAddr, To: []byte("no")}); len(d.Items) == 0 {
		t.Error("an unreadable one is not shown")
	}
}

func changeOf(from, to *Track) plan.Change {
	c := plan.Change{Addr: TrackAddr}
	if from != nil {
		c.From = plan.NewObject(TrackAddr, *from, nil).Attrs
	}
	if to != nil {
		c.To = plan.NewObject(TrackAddr, *to, nil).Attrs
	}
	return c
}

// TestTrackTextSaysAll that an alert is about.
func TestTrackTextSaysAll(t *testing.T) {
	a := Alert{Name: "x", Event: Read, Threshold: 3, Bytes: 1 << 20, Window: time.Minute, Paths: []string{"*.pem", "/workspace/keys"}, Action: Kill}
	news := Alert{Name: "n", Event: Denied, Threshold: 1, Window: time.Second, FirstSeen: true, Learn: time.Hour, Action: Log}
	if got := news.text(); got != "1 denials in 1s in folders first seen (after 1h): log" {
		t.Error(got)
	}
	if got := a.text(); !strings.Contains(got, "3 reads or 1 MiB of reads in 1m of *.pem, /workspace/keys: kill") {
		t.Error(got)
	}
}
