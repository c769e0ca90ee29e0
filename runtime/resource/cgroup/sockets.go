package cgroup

import (
	"errors"
	"io/fs"
)

// socketsV1 bounds what waits in sockets of TCP and UDP. v1 counts that apart from other
// memory, and only in groups that have a limit on it themselves: without one a sandbox
// takes as much as the whole machine may (tcp_mem, udp_mem), whatever its memory.max.
// v2 counts it as memory.
const socketsV1 = "memory.kmem.tcp.limit_in_bytes"

// limitSockets gives dir and every group below it the limit on memory of w for its
// sockets, too.
func limitSockets(dir string, w wishes) error {
	want := settlePages(w, memoryMax)
	return walk(dir, func(dir string) error {
		now, err := socketsLimit(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && now.is(want, memoryMax) {
			return nil // a kernel that doesn't count it, or nothing to do
		}
		return writeFile(dir, socketsV1, want.text(memoryMax, "-1"))
	})
}

// socketsLimit is the limit of one group, as one on memory.
func socketsLimit(dir string) (wishes, error) {
	if !exists(dir, socketsV1) {
		return nil, fs.ErrNotExist
	}
	w := wishes{}
	if err := readLimit(w, memoryMax, dir, socketsV1); err != nil {
		return nil, err
	}
	return settlePages(w, memoryMax), nil
}

// oddSockets is the limit of a group whose sockets have another one than want says.
func oddSockets(dir string, want wishes) (odd wishes, err error) {
	want = settlePages(want, memoryMax)
	err = walk(dir, func(dir string) error {
		now, err := socketsLimit(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !now.is(want, memoryMax) {
			odd = now
		}
		return err
	})
	return odd, err
}
