// Package crash strikes a command in every way in which a machine can fail it, and
// looks at what the next command makes of that: the old state whole or the new one,
// nothing orphaned, nothing that is not on record, and a command that works.
//
//   - world_test.go: a project, the programs that act on it, and what is on the host
//   - story_test.go: the commands that are struck
//   - verdict_test.go: what a strike may leave
//   - step_test.go: the daemon is killed before and after all that a kind does
//   - between_test.go: the daemon is killed between its system calls, by package strike
//   - moment_test.go: the daemon, the command line or PID 1 is killed at any moment
//   - disk_test.go: disks that are full, read-only, or have files that nobody may change
//   - fault_test.go: each write of a record fails, in each way
//   - tally_test.go: the counts that the suite prints
//
// See docs/CRASH.md.
package crash
