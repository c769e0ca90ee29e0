package access

import (
	"fmt"
	"time"
)

// Text is what the alert saw: "212 x delete within 10s, the last of /workspace/a by rm (pid 7)".
func (a Alert) Text() string {
	s := fmt.Sprintf("%d x %s within %v", a.Count, a.Event, time.Duration(a.Window)*time.Millisecond)
	if a.Bytes > 0 {
		s += fmt.Sprintf(", %d bytes", a.Bytes)
	}
	if a.Overflow {
		s = fmt.Sprintf("more than could be noted, and at least %d x %s", a.Count, a.Event)
	}
	if a.Path != "" {
		s += fmt.Sprintf(", the last of %q", cut(a.Path))
	}
	if a.Command != "" {
		s += fmt.Sprintf(" by %q", cut(a.Command))
	}
	if a.PID != 0 {
		s += fmt.Sprintf(" (pid %d)", a.PID)
	}
	return s
}

// longest bounds a word of a text that a sandbox chose, in characters.
const longest = 200

func cut(s string) string {
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "..."
	}
	return s
}
