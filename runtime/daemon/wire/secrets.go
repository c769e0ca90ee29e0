package wire

import (
	"fmt"
	"io"

	"blast.example/blast/runtime/packages/login"
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
	// Logins are those of the hosts that packages are fetched from, if some are.
	Logins map[string]Login `json:"logins,omitempty"`
}

// A Login is a user and a password.
type Login struct {
	User     string `json:"user"`
	Password []byte `json:"password"`
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

// Reveal lets logins be sent.
func Reveal(ls login.Logins) map[string]Login {
	out := map[string]Login{}
	for host, b := range ls {
		out[host] = Login{b.User, []byte(b.Password.Reveal())}
	}
	return out
}

// Known are the logins as the daemon hands them on.
func (s Secrets) Known() login.Logins {
	out := login.Logins{}
	for host, l := range s.Logins {
		out[host] = login.Basic{User: l.User, Password: secret.NewValue(string(l.Password))}
	}
	return out
}
