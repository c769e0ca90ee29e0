package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func obj(addr, v string) Object { return NewObject(addr, v, map[string]string{"": "blast.hcl:1"}) }

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name                        string
		desired, recorded, observed []Object
		want                        string // actions and addresses in order; ! is drift
	}{
		{"nothing", nil, nil, nil, ""},
		{"create in order", []Object{obj("a.1", "x"), obj("b.1", "y")}, nil, nil, "+a.1 +b.1"},
		{"equal", []Object{obj("a.1", "x")}, []Object{obj("a.1", "x")}, []Object{obj("a.1", "x")}, ""},
		{"update", []Object{obj("a.1", "y")}, []Object{obj("a.1", "x")}, []Object{obj("a.1", "x")}, "~a.1"},
		{"delete backwards", nil, []Object{obj("a.1", "x"), obj("b.1", "y")}, []Object{obj("a.1", "x"), obj("b.1", "y")}, "-b.1 -a.1"},
		{"recorded but gone is still cleaned", nil, []Object{obj("a.1", "x")}, nil, "-a.1!"},
		{"drift is mended", []Object{obj("a.1", "x")}, []Object{obj("a.1", "x")}, []Object{obj("a.1", "z")}, "~a.1!"},
		{"gone is made again", []Object{obj("a.1", "x")}, []Object{obj("a.1", "x")}, nil, "+a.1!"},
		{"lost state is adopted", []Object{obj("a.1", "x")}, nil, []Object{obj("a.1", "z")}, "~a.1"},
		{"lost state is destroyed", nil, nil, []Object{obj("a.1", "x"), obj("b.1", "y")}, "-b.1 -a.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range Diff(tt.desired, tt.recorded, tt.observed, nil).Steps {
				mark := ""
				if s.Drift {
					mark = "!"
				}
				got = append(got, s.Action.Sign()+s.Addr+mark)
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got %q, want %q", g, tt.want)
			}
		})
	}
}

func TestDiffIgnoresPlaces(t *testing.T) {
	a, b := obj("a.1", "x"), obj("a.1", "x")
	b.Src = map[string]string{"": "blast.hcl:99"}
	if p := Diff([]Object{a}, []Object{b}, []Object{{Addr: "a.1", Attrs: []byte("\n  \"x\"\n")}}, nil); !p.Empty() {
		t.Fatalf("a moved line is a change: %+v", p.Steps)
	}
}

func TestItemsGetPlaceAndCause(t *testing.T) {
	o := NewObject("network.policy", "new", map[string]string{"": "blast.hcl:1", "egress.db": "blast.hcl:7"})
	old := NewObject("network.policy", "old", nil)
	describe := func(Change) Description {
		return Description{Items: []Item{
			{Name: "egress.db", Action: Create, Access: Widen},
			{Name: "egress.db.ports", Action: Update},
			{Name: "default", Action: Update, Restart: true},
		}}
	}
	edited := Diff([]Object{o}, []Object{old}, []Object{old}, describe).Steps[0]
	if edited.Action != Replace {
		t.Errorf("action %q, want replace: an item takes a restart", edited.Action)
	}
	for i, want := range []string{"blast.hcl:7", "blast.hcl:7", "blast.hcl:1"} {
		if it := edited.Items[i]; it.Place != want || it.Cause != ByConfiguration {
			t.Errorf("item %s: place %q, cause %q", it.Name, it.Place, it.Cause)
		}
	}
	drifted := Diff([]Object{o}, []Object{o}, []Object{old}, describe).Steps[0]
	if got := drifted.Items[0].Because; got != "changed outside of Blast" {
		t.Errorf("because %q", got)
	}
}

func TestReverseTwiceIsItself(t *testing.T) {
	c := Change{"a.1", []byte("1"), nil}
	if r := c.Reverse().Reverse(); r.Addr != c.Addr || string(r.From) != "1" || r.To != nil {
		t.Errorf("%+v", r)
	}
}

// What is taken for compact is what json.Compact would leave alone.
func FuzzCompact(f *testing.F) {
	for _, s := range []string{`{"a":"b c","d":[1,2]}`, `{"a": 1}`, `"a\\" `, `"a\\\"b"`, `"\\\\"`, "[\n]", `""`, `{"a":"\u0022 x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Equal(b.Bytes(), raw); got != compact(raw) {
			t.Errorf("%q: compact is %v", raw, !got)
		}
	})
}

// A kind may have many objects, each with a summary of its own.
func TestRowsTellAllSummaries(t *testing.T) {
	objs := []Object{obj("check.a", "1"), obj("check.b", "2"), obj("x.silent", "3")}
	objs[0].Src[""], objs[1].Src[""] = "blast.hcl:3", "blast.hcl:5"
	rows := Diff(objs, nil, nil, func(c Change) Description {
		if c.Addr == "x.silent" {
			return Description{}
		}
		return Description{Summary: "about " + c.Addr}
	}).Rows()
	if len(rows) != 2 || rows[0].Summary != "about check.a; about check.b" || rows[0].Place != "blast.hcl:3" || rows[1].Summary != "" {
		t.Errorf("%+v", rows)
	}
}
