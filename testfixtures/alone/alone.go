// Package alone keeps tests that use the machine's one daemon from running at
// the same time: go test runs the tests of several packages side by side.
package alone

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// With waits until no other test has the daemon, and holds it until t ends.
func With(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "blast-tests.lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}
