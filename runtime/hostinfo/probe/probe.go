// Package probe has the probes of hostinfo that need root: it makes namespaces,
// firewall rules, cgroups, mounts and a loop device, each where it ends with a
// thread or a descriptor. Only the daemon links it.
package probe

import (
	"context"
	"fmt"
	"os"

	"blast.example/blast/runtime/hostinfo"
)

// Probe finds all that hostinfo knows to ask. dir is the project folder.
func Probe(ctx context.Context, dir string) hostinfo.Facts {
	p := hostinfo.Cheap()
	if os.Geteuid() == 0 {
		p.Mounts = mounts
		p.Firewall = firewall
		p.Cgroups = cgroups
		p.Fanotify = fanotify
		p.Loop = loop
	}
	return hostinfo.Gather(ctx, dir, p)
}

// scratch makes a folder in dir for as long as f runs.
func scratch(dir string, f func(dir string) error) (err error) {
	tmp, err := os.MkdirTemp(dir, ".blast-doctor-")
	if err != nil {
		return fmt.Errorf("make a folder to try in: %w", err)
	}
	defer func() {
		if rerr := os.RemoveAll(tmp); err == nil && rerr != nil {
			err = fmt.Errorf("remove %s: %w", tmp, rerr)
		}
	}()
	return f(tmp)
}
