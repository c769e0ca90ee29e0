//go:build linux

package mounts

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
)

// A door that gets no answer lets everybody go on, and asks no more.
func TestDoorGivesUp(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	m, err := mountns.Clone(src, mountns.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	c := &scout{survey: &survey{patterns: []filesystem.Pattern{{Type: filesystem.Hide, Glob: "*.pem"}}}}
	const wait = 300 * time.Millisecond
	d, err := openDoor(t.Context(), c, wait, func() {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.mark(m); err != nil {
		t.Fatal(err)
	}
	open := func() (time.Duration, error) {
		begun := time.Now()
		fd, err := unix.Openat(int(m.Fd()), "a.pem", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return time.Since(begun), err
	}
	if _, err := open(); err != unix.EPERM { //nolint:errorlint // an errno
		t.Fatalf("the control: %v", err)
	}
	c.mu.Lock() // it hangs
	if took, err := open(); err != nil || took < wait || took > 20*wait {
		t.Errorf("%v after %v", err, took)
	}
	if took, err := open(); err != nil || took > wait {
		t.Errorf("asked again: %v after %v", err, took)
	}
	c.mu.Unlock()
	d.close()
}
