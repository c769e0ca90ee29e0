package session

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

// refused is what is printed of refusals when a command ended with a code.
func refused(t *testing.T, code int, all ...access.Access) string {
	t.Helper()
	s, text := withAlerts(t)
	var lines []byte
	for _, x := range all {
		x.Type = access.TypeAccess
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, b...), '\n')
	}
	if err := os.WriteFile(s.deniedFile(), lines, 0o600); err != nil {
		t.Fatal(err)
	}
	st := state.State{Objects: []plan.Object{{Addr: treeAddr, Src: map[string]string{"workspace.hide": "blast.hcl:3"}}}}
	s.explainFiles(st, 0, code)
	return text()
}

var hidden = access.Access{
	Op: "denied", Tried: "read", Path: "/workspace/secrets/key", Error: "EACCES", Rule: "workspace.hide",
	Why: "the workspace block hides secrets", Fix: `remove "secrets" from hide`, Process: access.Process{PID: 7, Command: "cat"},
}

// TestFilesAreExplained: what, who, why, which line and what opens it, once; of a command
// that failed, and what a line decided.
func TestFilesAreExplained(t *testing.T) {
	own := hidden
	own.Rule, own.Path = "", "/workspace/shut"
	want := `
blast: files that the sandbox refused                                          [F103]
  what   read /workspace/secrets/key (EACCES), from cat (pid 7)
  why    the workspace block hides secrets                                    blast.hcl:3
  fix    remove "secrets" from hide
`
	if got := refused(t, 1, hidden, own, hidden); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, got := range []string{refused(t, 0, hidden), refused(t, 1, own), refused(t, 1)} {
		if got != "" {
			t.Errorf("said: %s", got)
		}
	}
}

// TestRefusedFilesAreBounded, and draw nothing.
func TestRefusedFilesAreBounded(t *testing.T) {
	var all []access.Access
	for i := range 500 {
		x := hidden
		x.Path = fmt.Sprintf("/workspace/%d/\x1b[2J\n  why    forged\u202e%s", i, strings.Repeat("y", 3000))
		x.Command, x.Via, x.Missed = "a\nb c", x.Path, 1
		all = append(all, x)
	}
	text := refused(t, 1, all...)
	if strings.Count(text, "  what   ") != maxExplained || !strings.Contains(text, "490 more were refused: blast files --op denied") || !strings.Contains(text, "500 refusals came too fast") || len(text) > 10_000 {
		t.Errorf("%d bytes:\n%s", len(text), text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q is shown", text[i:i+1])
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  why    forged") {
			t.Error(line)
		}
	}
}
