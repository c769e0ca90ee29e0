package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// A crasher counts what all kinds do to the host.
type crasher struct {
	n    atomic.Int64
	at   int64
	when string
	note string
}

func newCrasher(when, note string) (*crasher, error) {
	c := &crasher{note: note}
	_, err := fmt.Sscanf(strings.ReplaceAll(when, ":", " "), "%d %s", &c.at, &c.when)
	return c, err
}

// named is the crasher for one kind.
func (c *crasher) named(kind string) around {
	return func(verb string, work func() error) error {
		hit := c.n.Add(1) == c.at
		c.noteDown(verb, kind)
		if hit && c.when == "before" {
			c.die(verb, kind)
		}
		err := work()
		if hit {
			c.die(verb, kind)
		}
		return err
	}
}

// around does work, unless it is time to die.
type around func(verb string, work func() error) error

// noteDown tells the suite what is about to happen.
func (c *crasher) noteDown(words ...any) {
	if f, err := os.OpenFile(c.note, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err == nil {
		_, _ = fmt.Fprintln(f, words...)
		_ = f.Close()
	}
}

func (c *crasher) die(verb, kind string) {
	c.noteDown("killed", c.when, verb, kind)
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // until the signal arrives
}
