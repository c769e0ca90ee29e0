package kinds

import (
	"context"

	"blast.example/blast/runtime/packages/login"
	"blast.example/blast/runtime/process/secret"
)

type secretsKey struct{}

// WithSecrets returns a context in which Secrets finds values. The one who calls
// blast apply has them, and the daemon for as long as that takes.
func WithSecrets(ctx context.Context, values map[string]secret.Value) context.Context {
	return context.WithValue(ctx, secretsKey{}, values)
}

// Secrets are the values of the environment's secrets by name, for a kind that starts
// commands while it applies: see process.Environment. They are there only in an
// apply, and not in the recovery of one: a kind that needs one and has none fails.
func Secrets(ctx context.Context) map[string]secret.Value {
	values, _ := ctx.Value(secretsKey{}).(map[string]secret.Value)
	return values
}

type loginsKey struct{}

// WithLogins returns a context in which Logins finds what indexes want to hear.
func WithLogins(ctx context.Context, l login.Logins) context.Context {
	return context.WithValue(ctx, loginsKey{}, l)
}

// Logins are there as Secrets are: only in an apply, and not in the recovery of one.
func Logins(ctx context.Context) login.Logins {
	l, _ := ctx.Value(loginsKey{}).(login.Logins)
	return l
}
