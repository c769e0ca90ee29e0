package main

import (
	"fmt"
	goruntime "runtime"
)

// version is the released version; set by the Makefile with -ldflags -X.
var version = "0.1.0-dev"

type versionCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints the version.
func (cmd *versionCmd) Run(u *ui) error {
	if cmd.JSON {
		return u.answer(map[string]string{"blast_version": version, "platform": goruntime.GOOS + "_" + goruntime.GOARCH, "go_version": goruntime.Version()})
	}
	return printAll(u.stdout, fmt.Appendf(nil, "Blast %s on %s_%s\n", version, goruntime.GOOS, goruntime.GOARCH))
}
