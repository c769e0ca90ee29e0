package access

import (
	"fmt"
	"time"
)

// HeldNote is the note of an environment that an alert has frozen, a Held. Whoever lets it
// go on drops it.
const HeldNote = "held"

// A Held says since when an environment stands still, and why.
type Held struct {
	Since  time.Time `json:"since"`
	Alert  string    `json:"alert"`
	Reason string    `json:"reason"`
}

// Text is what the alert saw: "212 × delete within 10s, the last of /workspace/a by rm (pid 7)".
func (a Alert) Text() string {
	s := fmt.Sprintf("%d × %s within %v", a.Count, a.Event, time.Duration(a.Window)*time.Millisecond)
	if a.Bytes > 0 {
		s += fmt.Sprintf(", %d bytes", a.Bytes)
	}
	if a.Overflow {
		s = fmt.Sprintf("more than could be noted, and at least %d × %s", a.Count, a.Event)
	}
	if a.Path != "" {
		s += fmt.Sprintf(", the last of %q", a.Path)
	}
	if a.Command != "" {
		s += fmt.Sprintf(" by %q (pid %d)", a.Command, a.PID)
	}
	return s
}
