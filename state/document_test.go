package state

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/plan"
)

// docs/STATE.md shows a state that is one, and has a row for each of its fields.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/STATE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```json\n")
	example, _, _ := strings.Cut(rest, "```")
	s, err := Decode([]byte(example))
	if err != nil {
		t.Fatalf("the example: %v", err)
	}
	again, err := Encode(s)
	if err != nil || string(again) != example {
		t.Errorf("the example is written otherwise:\n%s", again)
	}
	var want []string
	for prefix, v := range map[string]any{"": onDisk{}, "origin.": Origin{}, "objects.": plan.Object{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, prefix+name)
		}
	}
	_, table, _ := strings.Cut(string(b), "| field | what |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var got []string
	for line := range strings.Lines(table) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, m := range regexp.MustCompile("`([a-z.]+)`").FindAllStringSubmatch(names, -1) {
			got = append(got, m[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("rows %q\nwant %q", got, want)
	}
}
