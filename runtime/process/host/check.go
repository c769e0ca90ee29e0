//go:build linux

package host

import (
	"context"
	"fmt"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// Check returns a problem for each right that a sandbox can't be given without
// letting it undo what else was asked for.
func (h *Host) Check(_ context.Context, _ state.Env, desired []plan.Object) ([]kinds.Problem, error) {
	return kinds.CheckEach(desired, process.SandboxAddr, func(want process.Sandbox) ([]kinds.Problem, error) { return check(want), nil })
}

func check(want process.Sandbox) []kinds.Problem {
	var ps []kinds.Problem
	problem := func(item, reason, fix string) {
		ps = append(ps, kinds.Problem{Addr: process.SandboxAddr, Item: item, Reason: reason, Fix: fix})
	}
	for _, c := range want.Capabilities {
		if !sandbox.Grantable(c) {
			problem("capabilities", fmt.Sprintf("%s would let a command undo its sandbox, or counts for nothing in it", c), "Remove "+c+".")
		}
	}
	if want.Seccomp != sandbox.SeccompDefault {
		problem("seccomp", fmt.Sprintf("this version of Blast has no seccomp profile %q", want.Seccomp), `Write seccomp = "default", or remove the line.`)
	}
	if want.Base != sandbox.BaseHost {
		problem("base", fmt.Sprintf("this version of Blast can't use %q as a base", want.Base), `Write base = "host", or remove the line.`)
	}
	return ps
}
