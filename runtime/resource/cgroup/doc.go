// Package cgroup is the host half of the resource kind: it makes resource.limits
// true in the kernel's cgroups and resource.rlimits in what commands start with.
//
// # One group, above the container
//
// The limits sit on one cgroup per environment, env.Cgroup ("/blast/<id>"),
// below the mount point of each hierarchy that has a controller for them:
//
//	v2:         /sys/fs/cgroup/blast/<id>            cpu, memory, io, pids
//	v1, hybrid: /sys/fs/cgroup/memory/blast/<id>     and so on, one for each
//
// The container lives in a child of it, made without limits by whoever makes
// containers. So a new container beside the old one shares the old one's
// limits, and every limit can be changed while commands run. A host may have
// some controllers in v1 and others in v2; each is used where it is. One thing
// does not work that way: v1 throttles I/O of a group's own processes only, so
// there bandwidths are copied into the groups below, by Apply and by Sync, and
// hold for each of them.
//
// # Files, not a library
//
// The package writes the kernel's files itself, so that what it writes is what
// it reads back: each controller has a read, a write and a settle function, and
// settle(w) says which reading proves that w was applied. The kernel rounds
// memory down to pages, v1 counts CPU in shares, BFQ has weights of its own. An
// observed limit equals the applied one byte for byte if the reading is the
// settled one; else it is what the kernel says.
//
// # What the kernel does not do
//
// Bandwidths hold for the block devices behind the project folder and the
// environment's state folder: whole disks, as the kernel does not throttle
// partitions. A loop device whose image lies in the state folder needs no limit
// of its own, as its reads and writes reach the disk in the name of the
// process that caused them. cgroup v1 throttles reads, direct and synchronous
// writes, but not what the page cache writes back later: that has no owner
// there. So write bandwidths on v1 are a problem to Check, never a silent half.
//
// Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and
// https://docs.kernel.org/admin-guide/cgroup-v1/, getrlimit(2).
package cgroup
