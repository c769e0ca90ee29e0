package wire

import (
	"fmt"
	"io"

	"blast.example/blast/runtime/process/secret"
)

// Secrets are for the daemon's memory, and for as long as the apply takes. They are
// beside the plan, as that is what the journal and the state are made of.
type Secrets struct {
	// Key is the one that the plan's hashes were made with, if the environment had
	// none: it is kept in the state folder.
	Key []byte `json:"key,omitempty"`
	// Values are those of the environment's secrets by name, if something in the
	// daemon starts commands that get them.
	Values map[string][]byte `json:"values,omitempty"`
}

// Format implements fmt.Formatter: they print as nothing.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// Hidden are the values as the daemon hands them on.
func (s Secrets) Hidden() map[string]secret.Value {
	out := make(map[string]secret.Value, len(s.Values))
	for name, v := range s.Values {
		out[name] = secret.NewValue(string(v))
	}
	return out
}
