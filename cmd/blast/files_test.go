package main

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"blast.example/blast/runtime/filesystem/access"
)

// TestForgedFilesAreOneRow: what a sandbox chose draws nothing, and looks like no other
// row or column.
func TestForgedFilesAreOneRow(t *testing.T) {
	evil := "/workspace/x\n14:00:00  delete   /etc/passwd  rm (1)\t\x1b[2J\u202e'\\$(id)" + strings.Repeat("y", 5000)
	who := access.Process{PID: 3, Command: evil, Script: evil}
	s := &fileSights{cmd: &filesCmd{}, u: &ui{}}
	for what, v := range map[string]any{
		"access": &access.Access{Op: "write", Path: evil, Process: who, Size: 1},
		"rename": &access.Access{Op: "rename", Path: evil, To: evil, Process: who, Folder: true},
		"denied": &access.Access{Op: "denied", Path: evil, To: evil, Via: evil, Tried: evil, Error: evil, Why: evil, Place: evil, Process: who},
		"alert":  &access.Alert{Name: "a", Event: "delete", Path: evil, Process: who, Action: "kill", Failed: evil, Place: evil},
		"gap":    &access.Gap{Path: evil, Reason: evil},
		"path":   &access.Path{Path: evil, Ops: map[string]uint64{evil: 1}, By: who},
	} {
		text := s.text(v)
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: %d lines", what, strings.Count(text, "\n"))
		}
		if i := strings.IndexFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q is shown", what, text[i:i+1])
		}
		if len(text) > 3000 {
			t.Errorf("%s has %d bytes", what, len(text))
		}
	}
}

func TestShownPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/workspace/a.py":   "/workspace/a.py",
		"/workspace/é":      "/workspace/é",
		"/workspace/a b":    "$'/workspace/a b'",
		"/workspace/a\nb":   `$'/workspace/a\nb'`,
		"/workspace/it's":   `$'/workspace/it\'s'`,
		"/workspace/\x1b[J": `$'/workspace/\x1b[J'`,
		`/workspace/\n`:     `$'/workspace/\\n'`,
		"/workspace/$(id)":  "$'/workspace/$(id)'",
	} {
		if got := shownPath(path); got != want {
			t.Errorf("%q is shown as %s, want %s", path, got, want)
		}
	}
}

// TestPathsOfAPerson are those of the workspace, where they can't be anything else.
func TestPathsOfAPerson(t *testing.T) {
	for path, want := range map[string]string{"/tmp/a": "/tmp/a", "src/a.py": "/workspace/src/a.py", "./a": "/workspace/a", "../a": "/a", "*.pem": "*.pem"} {
		if got := seenAt(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestWhichFilesAreWanted(t *testing.T) {
	now := time.Now()
	write := &access.Access{Time: now.Add(-time.Hour), Op: "write", Path: "/workspace/src/a.py", Process: access.Process{PID: 7, Command: "python3", Script: "/workspace/app.py"}}
	rename := &access.Access{Time: now, Op: "rename", Path: "/tmp/x", To: "/workspace/src/key.pem", Process: access.Process{PID: 8, Command: "mv"}}
	alert := &access.Alert{Time: now, Event: "delete", Path: "/tmp/y", Process: access.Process{Command: "rm"}}
	gap := &access.Gap{From: now}
	path := &access.Path{Last: now, Path: "/workspace/src/a.py", Ops: map[string]uint64{"write": 1, "read": 2}, By: access.Process{Command: "python3"}}
	totals := &access.Totals{}
	all := []any{write, rename, alert, gap, path, totals}
	for what, tt := range map[string]struct {
		cmd   filesCmd
		since time.Duration
		want  string
	}{
		"all":          {filesCmd{}, 0, "yyyy.y"},
		"json":         {filesCmd{JSON: true, Path: []string{"/none"}}, 0, "...y.y"},
		"history":      {filesCmd{History: true}, 0, "....y."},
		"history read": {filesCmd{History: true, Op: []string{"read"}}, 0, "....y."},
		"history del":  {filesCmd{History: true, Op: []string{"delete"}}, 0, "......"},
		"below":        {filesCmd{Path: []string{"/workspace"}}, 0, "yy.y.."},
		"name":         {filesCmd{Path: []string{"*.pem"}}, 0, ".y.y.."},
		"two":          {filesCmd{Path: []string{"*.pem", "/tmp/y"}}, 0, ".yyy.."},
		"op":           {filesCmd{Op: []string{"write", "delete"}}, 0, "y.yy.."},
		"command":      {filesCmd{Process: "mv"}, 0, ".y.y.."},
		"number":       {filesCmd{Process: "7"}, 0, "y..y.."},
		"script":       {filesCmd{Process: "app.py"}, 0, "y..y.."},
		"since":        {filesCmd{Since: time.Minute}, time.Minute, ".yyy.."},
	} {
		s := &fileSights{cmd: &tt.cmd}
		if tt.since > 0 {
			s.after = now.Add(-tt.since)
		}
		got := ""
		for _, v := range all {
			if s.wanted(v) {
				got += "y"
			} else {
				got += "."
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", what, got, tt.want)
		}
	}
}
