//go:build linux

package mounts_test

// attemptName is the name under which the test program is run inside.
const attemptName = "attempt"

func attempt([]string) int { return 2 }
