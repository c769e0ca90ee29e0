package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/hostinfo"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run probes the host by doing: as root through the daemon, which can.
func (cmd *doctorCmd) Run(ctx context.Context, u *ui) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	var facts hostinfo.Facts
	if c, cerr := client.New(); cerr == nil {
		err = c.Call(ctx, wire.Doctor, wire.DoctorParams{Dir: dir}, &facts, u.event)
	} else {
		facts = hostinfo.Probe(ctx, dir)
	}
	if err != nil {
		return err
	}
	findings := facts.Report()
	if cmd.JSON {
		err = u.answer(map[string]any{"tier": facts.Tier(), "findings": findings, "facts": facts})
	} else {
		err = printAll(u.out, []byte(doctorText(findings, facts)))
	}
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Level == hostinfo.Fail {
			return statusError{exitError}
		}
	}
	return nil
}

func doctorText(findings []hostinfo.Finding, facts hostinfo.Facts) string {
	sign := map[hostinfo.Level]string{hostinfo.OK: "ok", hostinfo.Warn: "!", hostinfo.Fail: "x"}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-3s %s", sign[f.Level], f.Title)
		if f.Detail != "" {
			fmt.Fprintf(&b, ": %s", f.Detail)
		}
		b.WriteByte('\n')
		if f.Fix != "" {
			fmt.Fprintf(&b, "    fix: %s\n", f.Fix)
		}
	}
	fmt.Fprintf(&b, "tier: %s\n", facts.Tier())
	return b.String()
}
