// Package breakout attacks real sandboxes from inside, with everything that is in package probes,
// and exhausts what can be exhausted, and looks from the host at what came of it.
//
//	sandbox "worker" ┐                        a secret of root's in a file, a process's memory, /dev/shm, queues; a process;
//	sandbox "rooted" ├─ blastd, on the host:  a terminal; a disk; the kernel's settings; blast.hcl, hooks, records
//	sandbox "small"  ┘
//
// Each probe is tried on the host, as root in namespaces that go with it, where it must reach its goal (its positive control),
// and in two sandboxes, one of them as root with all that may be granted, where it must not. It is judged by what it says itself, by the
// secret in what it brought home, and by what it left where the host would believe it. Afterwards the host is compared with what it was before.
// Each bomb goes off outside up to a size, and in a sandbox with a limit below that; meanwhile the host must answer.
//
// BLAST_ATTACK_ONLY='^mounts-' limits a run to the probes and bombs whose names it matches.
//
// To add a probe, see package probes: it is one entry in a list. Then write the table of
// docs/ATTACKS.md anew: UPDATE=1 go test ./testfixtures/attack -run TestAttacksAreListed.
package breakout
