package main

import (
	"context"
	"fmt"
	"strings"

	"blast.example/blast/runtime/packages/cache"
)

type cacheVerifyCmd struct {
	JSON bool `name:"json" help:"Print what was damaged as JSON."`
}

// Run reads all. What was damaged goes, and is fetched again by the next apply that needs
// it; the exit code is 1 then, as somebody had to do it.
func (cmd *cacheVerifyCmd) Run(ctx context.Context, u *ui) error {
	c, all, err := wheels()
	if err != nil {
		return err
	}
	bad := []cache.Kept{}
	for i := range all {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		u.tick("verifying " + wheelText(all[i]))
		if all[i].Inspect(); all[i].Damaged != "" {
			bad = append(bad, all[i])
		}
	}
	u.untick()
	if err := c.Remove(ctx, bad); err != nil {
		return err
	}
	if cmd.JSON {
		err = u.answer(cacheRemoved{Wheels: bad, Removed: true})
	} else {
		err = printAll(u.out, []byte(verified(all, bad)))
	}
	if err == nil && len(bad) > 0 {
		err = statusError{exitError}
	}
	return err
}

func verified(all, bad []cache.Kept) string {
	var b strings.Builder
	used := 0
	for _, k := range bad {
		fmt.Fprintf(&b, "%s: %s. Removed; the next apply fetches it again.\n", wheelText(k), cell(k.Damaged))
		if k.Used {
			used++
		}
	}
	if used > 0 {
		fmt.Fprintf(&b, "Environments share files with %s of these. blast plan says which differ, and blast apply --replace packages.set makes their packages anew.\n", plural(used, "wheel"))
	}
	fmt.Fprintf(&b, "%s verified, %d damaged.\n", plural(len(all), "wheel"), len(bad))
	return b.String()
}
