// Package mountns reads and changes the mounts of another process's mount
// namespace: the sandbox's.
//
// What lies in a sandbox is hostile: a command may swap a folder for a symbolic
// link at any moment. So no path is ever resolved twice. A path is opened once,
// without following links (openat2(2)), and everything after that is done on the
// descriptor: cloning (open_tree(2)), attributes (mount_setattr(2)), attaching
// (move_mount(2)), detaching.
//
// The kernel mounts only in the caller's own mount namespace, and that belongs
// to a thread. Inside keeps one thread there; View, which only looks, needs none.
package mountns
