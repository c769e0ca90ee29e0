package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

// firstCollection is how much memory a command takes before garbage is collected for
// the first time, in bytes. Most commands are over before that; what large ones read at
// first, they keep.
const firstCollection = 64 << 20

// collectLate puts the first collection off. GOGC in the environment has its say.
func collectLate() {
	if os.Getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(-1)
	debug.SetMemoryLimit(firstCollection)
	first := &struct{ self *int }{new(int)}
	runtime.AddCleanup(first, func(percent int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, usual)
}
