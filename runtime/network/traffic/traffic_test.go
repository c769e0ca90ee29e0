package traffic

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/network/denial"
)

func TestWrittenIsRead(t *testing.T) {
	for _, want := range []Line{
		{Connection: &Connection{Type: TypeConnection, ID: 7, State: Open, Way: Out, Host: "a.example", Port: 443, Process: Process{PID: 3, Command: "curl"}, Sent: 1 << 60}},
		{Question: &Question{Type: TypeQuestion, Host: "a.example", Record: "AAAA", Process: Process{Unknown: Gone}}},
		{Denial: &Denial{Type: TypeDenial, Denial: denial.Denial{Op: denial.Resolve, Host: "b.example"}}},
		{Totals: &Totals{Type: TypeTotals, Rules: map[string]Sum{"egress.a": {Connections: 3}}, Filter: []Counter{{Chain: "out", Packets: 9}}}},
		{Missed: &Missed{Type: TypeMissed, Lines: 4}},
	} {
		b, err := json.Marshal(want.Value())
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", b, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", b, d)
		}
	}
	if _, err := Decode([]byte(`{"type":"of tomorrow"}`)); !errors.Is(err, ErrUnknown) {
		t.Errorf("a type of tomorrow: %v", err)
	}
}

func TestTargetsAndKeys(t *testing.T) {
	for want, c := range map[string]Connection{
		"a.example:443 egress.a":     {Way: Out, Host: "a.example", Port: 443, Rule: "a"},
		"[2001:db8::1]:53 ":          {Way: Out, Addr: "2001:db8::1", Port: 53},
		"localhost:8000 ingress.web": {Way: In, Addr: "192.0.2.7", Port: 8000, Rule: "web"},
	} {
		if got := c.Target() + " " + c.Key(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"connection","id":1,"state":"open","port":443}`))
	f.Add([]byte(`{"type":"totals","rules":{"":{"sent":1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := Decode(b); err == nil {
			if _, err := json.Marshal(l.Value()); err != nil {
				t.Error(err)
			}
		}
	})
}
