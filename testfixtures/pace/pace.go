// Package pace says how slow the machine is that tests run on, so that what waits for it
// waits long enough: an emulated one takes fifty times as long for a fork.
package pace

import (
	"os"
	"strconv"
	"time"
)

// Variable holds by what the time of a test is multiplied: testfixtures/vm/run.sh sets it.
const Variable = "BLAST_TEST_PACE"

// Of is how long something may take here that takes d at most on a machine of its own.
func Of(d time.Duration) time.Duration { return d * time.Duration(Factor()) }

// Factor is 1 where nothing is said.
func Factor() int {
	if n, err := strconv.Atoi(os.Getenv(Variable)); err == nil && n > 1 {
		return n
	}
	return 1
}
