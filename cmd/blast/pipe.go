package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// keepWriting makes writing to a pipe that nobody reads any more an error, and not
// this program's end (signal(7), SIGPIPE): an apply goes on, whoever looks.
func keepWriting() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// tolerant is a writer to whom a reader that went away is no error: what it wanted
// to see it has seen.
type tolerant struct{ w io.Writer }

func (t tolerant) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		return len(b), nil
	}
	return n, err
}
