package main

import (
	"context"
	"time"
)

// updateCmd is blast apply --upgrade by the name that people look for.
type updateCmd struct {
	Packages    []string      `arg:"" optional:"" name:"package" help:"Which; by default all. Others keep the version of the lock where it fits."`
	AutoApprove bool          `help:"Don't ask."`
	LockTimeout time.Duration `placeholder:"TIME" help:"How long to wait for another command that changes the environment, such as 30s."`
	reportFlags
}

// Run plans with the newest packages and applies that, with whatever else blast.hcl
// says by now: lock, packages and sandbox change together, or not at all.
func (cmd *updateCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	do := applyCmd{AutoApprove: cmd.AutoApprove, LockTimeout: cmd.LockTimeout, reportFlags: cmd.reportFlags}
	do.Refresh, do.Upgrade, do.Upgrades = true, len(cmd.Packages) == 0, cmd.Packages
	return do.Run(ctx, u, g)
}
