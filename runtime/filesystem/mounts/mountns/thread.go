//go:build linux

package mountns

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnOwnThread runs f on a thread that ends with it, so that f may change what
// belongs to a thread: its mount namespace, its user ids. f must not start
// goroutines that rely on them. It returns when f does.
func OnOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The first thread can't end, and /proc/self is its view. While it
		// waits here, locked, the next goroutine is on another one.
		OnOwnThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
}
