package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Use keeps entries from being removed until release is called: from when they are
// found until an environment has their files, too. Any number may use a cache at
// the same time, and whoever removes something waits for them.
func (c *Cache) Use(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return c.hold(ctx, unix.LOCK_SH)
}

// turn is how often somebody who waits looks whether it is his turn.
const turn = 20 * time.Millisecond

// hold locks the cache, with flock(2): whoever dies lets go.
func (c *Cache) hold(ctx context.Context, how int) (release func(), err error) {
	for {
		f, err := lockFolder(c.dir, how|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for others who use the cache: %w", context.Cause(ctx))
		case <-time.After(turn):
		}
	}
}
