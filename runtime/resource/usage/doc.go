// Package usage reads from the kernel's counters what an environment takes, and which of
// its limits it came up against. Package cgroup keeps a record of that; the command line
// explains it after a command.
//
// It is on the way of every command, so it links nothing of weight, and Count reads few
// files.
//
// What is counted where (the version of cgroups, and a file of each):
//
//	            v2                              v1
//	cpu.quota   cpu.stat nr_throttled           cpu.stat nr_throttled
//	memory.max  memory.events oom_kill          memory.oom_control oom_kill, of each group
//	memory.high memory.events high              -
//	pids.max    pids.events max                 pids.events max, of each group
//	io          io.stat                         blkio.throttle.io_service_bytes_recursive
//	pressure    cpu.pressure, memory.pressure, io.pressure; on a hybrid host, too
//
// No kernel counts how often a bandwidth of io made a process wait, nor what an rlimit
// refused: the first is seen by how near to its limit the traffic is, the second not at
// all.
//
// Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html,
// https://docs.kernel.org/admin-guide/cgroup-v1/, https://docs.kernel.org/accounting/psi.html.
package usage
