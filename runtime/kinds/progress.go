package kinds

import "context"

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
