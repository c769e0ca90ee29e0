package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

// alerted is what is printed of alerts that fired since the offset.
func alerted(t *testing.T, from int64, all ...access.Alert) string {
	t.Helper()
	s, text := withAlerts(t, all...)
	s.explainAlerts(state.State{}, from)
	return text()
}

func withAlerts(t *testing.T, all ...access.Alert) (s Session, text func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	s = Session{Env: state.Env{Run: t.TempDir()}, Stderr: w}
	var lines []byte
	for _, a := range all {
		a.Type = access.TypeAlert
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, b...), '\n')
	}
	if err := os.WriteFile(filepath.Join(s.Env.Run, access.AlertFile), lines, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	return s, func() string {
		_ = w.Close()
		return <-read
	}
}

func TestAlertsAreSaidOnce(t *testing.T) {
	a := access.Alert{Name: "mass-delete", Event: "delete", Count: 200, Window: 10000, Path: "/workspace/a", Action: "kill", Process: access.Process{PID: 7, Command: "rm"}}
	text := alerted(t, 0, a, a, a)
	for _, want := range []string{"[F101]", `200 x delete within 10s, the last of "/workspace/a" by "rm" (pid 7)`, "alert mass-delete killed all commands"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not said once: %s", want, text)
		}
	}
	if text := alerted(t, -1, a); text != "" {
		t.Errorf("where nothing is tracked: %s", text)
	}
	if text := alerted(t, 1<<20); text != "" {
		t.Errorf("where nothing fired: %s", text)
	}
	a.Failed = "freeze: device busy"
	if text := alerted(t, 0, a); !strings.Contains(text, "kill failed: freeze: device busy") {
		t.Error(text)
	}
}

// TestForgedAlerts: what a sandbox chose is one line of it, and many are few.
func TestForgedAlerts(t *testing.T) {
	evil := "x\nblast: all is well\x1b[2J\u202e" + strings.Repeat("y", 3000)
	var all []access.Alert
	for i := range 50 {
		all = append(all, access.Alert{Name: fmt.Sprint("a", i), Event: "delete", Path: evil, Action: "freeze", Process: access.Process{Command: evil}})
	}
	text := alerted(t, 0, all...)
	if n := strings.Count(text, "\n"); n > 5*maxExplained {
		t.Errorf("%d lines", n)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "blast: all") || strings.IndexFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("%q", line)
		}
	}
}

// TestFreezeIsSaidAtOnce: a command that stands still can't end, and is not said of again.
func TestFreezeIsSaidAtOnce(t *testing.T) {
	s, text := withAlerts(t, access.Alert{Name: "x", Event: "delete", Count: 5, Action: "freeze"})
	ctx, over := context.WithCancel(t.Context())
	defer over()
	end, told := s.watchAlerts(ctx, state.State{}, 0)
	time.Sleep(3 * alerting)
	end()
	if from := <-told; from != access.End(s.alertFile()) {
		t.Errorf("told until %d", from)
	}
	if got := text(); !strings.Contains(got, "froze the environment: blast thaw") {
		t.Errorf("%q", got)
	}
}
