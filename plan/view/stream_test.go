package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

// play lets a stream tell everything that it can.
func play(s *Stream) {
	s.Log("looking")
	s.Diagnostic(Diagnostic{Severity: "warning", Summary: "Sensitive value made public", Detail: "why\nand how", Range: &Range{"blast.hcl", Pos{1, 2, 1}, Pos{1, 4, 3}}})
	s.Plan(sample(), "d1")
	s.Event(ApplyStart, "resource.limits", "")
	s.Event(ApplyComplete, "resource.limits", "")
	s.Event(ApplyStart, "packages.set", "")
	s.Event(ApplyProgress, "packages.set", "unpacking "+hostile)
	s.Event(ApplyErrored, "packages.set", "no space left on device")
	s.Event(RollbackStart, "packages.set", "")
	s.Event(RollbackComplete, "packages.set", "")
	s.Event(ApplyStart, "process.sandbox", "")
	s.Event(ApplyStart, "filesystem.tree", "")
	s.Event(ApplyStart, "of.nothing", "")
	s.Event(CheckStart, "", "")
	s.Event(CheckComplete, "check.imports", "0.3s")
	s.Event(Committed, "", "")
	s.Applied("Apply", 5, map[string]Output{"mode": {Type: raw(`"string"`), Value: raw(`"test"`)}, "key": {Sensitive: true}})
}

func TestStreamGolden(t *testing.T) {
	var b bytes.Buffer
	s := NewStream(&b, "0.1.0")
	play(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	golden(t, "stream.jsonl", b.Bytes())
}

// Each line is JSON that HashiCorp's library takes for a line of Terraform's, and has
// no time.
func TestTerraformReadsStream(t *testing.T) {
	var b bytes.Buffer
	play(NewStream(&b, "0.1.0"))
	n := 0
	for l := range strings.Lines(b.String()) {
		n++
		msg, err := tfjson.UnmarshalLogMessage([]byte(l))
		if err != nil || msg.Message() == "" || !msg.Timestamp().IsZero() || strings.Contains(l, "timestamp") {
			t.Errorf("%s: %v", l, err)
		}
		if v, ok := msg.(tfjson.VersionLogMessage); ok != (n == 1) || ok && v.UI.String() != "1.2.0" {
			t.Errorf("line %d: %+v", n, msg)
		}
		if d, ok := msg.(tfjson.DiagnosticLogMessage); ok && n == 3 && (d.Severity != tfjson.DiagnosticSeverityWarning || d.Range.Start.Line != 1 || d.Level() != tfjson.Warn) {
			t.Errorf("%+v", d)
		}
		var any map[string]json.RawMessage
		if err := json.Unmarshal([]byte(l), &any); err != nil || any["type"] == nil || string(any["@module"]) != `"blast.ui"` {
			t.Errorf("%s: %v", l, err)
		}
	}
	if n < 20 {
		t.Errorf("%d lines", n)
	}
}

type broken struct{ left int }

var errBroken = errors.New("broken pipe")

func (w *broken) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errBroken
	}
	return len(b), nil
}

// A reader that goes ends the stream, and nothing else.
func TestStreamEndsQuietly(t *testing.T) {
	w := &broken{3}
	s := NewStream(w, "0.1.0")
	play(s)
	if !errors.Is(s.Err(), errBroken) || w.left != -1 {
		t.Errorf("%v after %d writes too many", s.Err(), -w.left)
	}
}
