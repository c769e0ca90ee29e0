package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds/words"
)

// ownRules refuses a blast.hcl that code in the sandbox of a project above could have
// made: who works in that folder would carry out its rules in the place of the project's.
func ownRules(f *config.File, uid, gid int) error {
	inner := filepath.Join(f.Project, config.FileName)
	for dir := f.Project; dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		outer := filepath.Join(dir, config.FileName)
		fi, err := os.Lstat(outer)
		if err != nil {
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != uid && st.Uid != 0 {
			continue // a stranger's
		}
		rel, err := filepath.Rel(dir, inner)
		if err == nil && mayWrite(outer, inner, uid, gid) {
			return fmt.Errorf("%s lies in the project %s, whose sandboxes may write there: code in one could have made it. If it is yours, add read_only = [%q] to the workspace block of %s; else remove it",
				inner, dir, rel, outer)
		}
	}
	return nil
}

// mayWrite reports whether a sandbox of the project of outer may write to a file. What
// can't be read may.
func mayWrite(outer, file string, uid, gid int) bool {
	f, diags := config.Load(outer, config.Options{Environ: os.Environ(), Words: words.ForConfig(), Version: release.Version, UID: uid, GID: gid})
	if diags.HasErrors() {
		return true
	}
	for _, e := range f.Environments {
		for _, o := range e.Objects {
			var t filesystem.Tree
			if o.Addr == filesystem.TreeAddr && (o.Decode(&t) != nil || t.Writable(file)) {
				return true
			}
		}
	}
	return false
}
