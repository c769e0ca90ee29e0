// Package release says which Blast this is, the same for all of its programs.
package release

import (
	"fmt"
	"runtime"
)

// Version is the released version; the Makefile sets it with -ldflags -X.
var Version = "0.1.0-dev"

// Line is what blast version prints.
func Line() string {
	return fmt.Sprintf("Blast %s on %s_%s\n", Version, runtime.GOOS, runtime.GOARCH)
}
