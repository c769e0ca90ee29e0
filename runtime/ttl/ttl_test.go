package ttl

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

func TestTTL(t *testing.T) {
	if objs := configtest.Objects(t, Words{}, ""); len(objs) > 0 {
		t.Errorf("%+v", objs)
	}
	objs := configtest.Objects(t, Words{}, "ttl = \"1.5h\"\n")
	if got := configtest.Decode[TTL](t, objs, Addr); got.TTL != 90*time.Minute || Of(objs) != got || objs[0].Src[""] != "blast.hcl:1" {
		t.Errorf("%+v, %+v", got, objs[0].Src)
	}
	for _, src := range []string{`"0"`, `"59s"`, `"9000h"`, "8", `"8 days"`, `"x"`} {
		if _, diags := configtest.Load(t, configtest.Project(t, "ttl = "+src+"\n"), Words{}); len(diags) != 1 {
			t.Errorf("%s: %v", src, diags)
		}
	}
	for _, src := range []string{"8", `"8"`} { // of what? Of no millisecond
		if _, diags := configtest.Load(t, configtest.Project(t, "ttl = "+src+"\n"), Words{}); len(diags) != 1 || !strings.Contains(diags[0].Detail, `"8m" or "8h"`) {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

// To be there for longer is to have more.
func TestDescribe(t *testing.T) {
	attrs := func(d time.Duration) []byte { return plan.NewObject(Addr, TTL{d}, nil).Attrs }
	for name, c := range map[string]struct {
		from, to []byte
		want     []plan.Item
	}{
		"new":     {nil, attrs(8 * time.Hour), []plan.Item{{Name: Name, Action: plan.Create, After: "8h"}}},
		"longer":  {attrs(8 * time.Hour), attrs(9 * time.Hour), []plan.Item{{Name: Name, Action: plan.Update, Access: plan.Widen, Before: "8h", After: "9h"}}},
		"shorter": {attrs(8 * time.Hour), attrs(90 * time.Minute), []plan.Item{{Name: Name, Action: plan.Update, Access: plan.Narrow, Before: "8h", After: "90m"}}},
		"none":    {attrs(time.Hour), nil, []plan.Item{{Name: Name, Action: plan.Delete, Before: "1h"}}},
		"same":    {attrs(time.Hour), attrs(time.Hour), nil},
		"nothing": {nil, nil, nil},
	} {
		if d := cmp.Diff(c.want, (Words{}).Describe(plan.Change{Addr: Addr, From: c.from, To: c.to}).Items); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if d := (Words{}).Describe(plan.Change{Addr: Addr, To: []byte("{")}); len(d.Items) == 0 {
		t.Error("nothing is said about what can't be read")
	}
}
