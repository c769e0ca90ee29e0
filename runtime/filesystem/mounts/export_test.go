package mounts

// NoImages makes this process believe that the host has no loop devices, until undo is
// called.
func NoImages() (undo func()) {
	was := loopControl
	loopControl = "/dev/no-such-loop-control"
	return func() { loopControl = was }
}
