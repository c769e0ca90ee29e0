package main

import (
	"runtime"

	"blast.example/blast/cmd/internal/release"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints the version.
func (cmd *versionCmd) Run(u *ui) error {
	if cmd.JSON {
		return u.answer(map[string]string{"blast_version": release.Version, "platform": runtime.GOOS + "_" + runtime.GOARCH, "go_version": runtime.Version()})
	}
	return printAll(u.out, []byte(release.Line()))
}
