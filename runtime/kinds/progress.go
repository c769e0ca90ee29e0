package kinds

import (
	"context"
	"time"
)

type progressKey struct{}

// WithProgress returns a context in which Progress tells tell. It may be called
// by several goroutines at once.
func WithProgress(ctx context.Context, tell func(message string)) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// Progress tells whoever waits for an Apply how far it is: one short line, such
// as "3 of 12 packages, 1.2 of 4.5 MB". Where nobody waits it does nothing.
func Progress(ctx context.Context, message string) {
	if tell, ok := ctx.Value(progressKey{}).(func(string)); ok {
		tell(message)
	}
}

type passedKey struct{}

// WithPassed returns a context in which Passed tells tell. It may be called by
// several goroutines at once.
func WithPassed(ctx context.Context, tell func(addr string, took time.Duration)) context.Context {
	return context.WithValue(ctx, passedKey{}, tell)
}

// Passed tells whoever waits for a Gate that one of the objects it tries is good.
// Where nobody waits it does nothing.
func Passed(ctx context.Context, addr string, took time.Duration) {
	if tell, ok := ctx.Value(passedKey{}).(func(string, time.Duration)); ok {
		tell(addr, took)
	}
}
