// Package thread runs a function on an operating system thread of its own, which
// ends with it: so ends what belongs to the thread, such as namespaces that it
// entered and filters that it put on itself.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run calls f on a thread of its own and returns what f does.
func Run(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: then Go ends the thread
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		// The first thread of a process would only be parked. While it is held
		// here, another one has to run f.
		err := Run(f)
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}
