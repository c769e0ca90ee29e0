// Package mounts is the host half of the filesystem kind: it brings the mounts
// of a running sandbox to what its tree says, live, and keeps them there.
//
// Nothing about what is mounted is remembered. The kernel's mount table is read
// and compared with what the tree says must be there (wants), and the difference
// is what Observe reports, what Apply mends, and what the watcher mends while
// the environment is up:
//
//	tree ─expand─▶ wants ┐
//	                     ├─ look ─▶ faults, extras ─▶ Observe: drift
//	kernel's mount table ┘                         └▶ converge: mend, look again, until there are none
//
// # Groups
//
// A mount that lies on no other of the tree is the root of a group; all that
// lies below it belongs to that. A group is built in a folder of the sandbox that
// nobody inside can enter, complete with its protections, and then moved to its place
// as one: no path is ever there without what protects it. Later changes are made
// in place where that is as safe, protections before anything that shows more.
//
// # Pins
//
// A mount stays with the folder that it was mounted on, also when that is
// renamed; a new folder at the old path is not protected. The kernel refuses to
// rename a mount point from where it is seen as one, so every folder
// between the root of a mount and what is mounted below it is bound on itself.
//
// # Retiring
//
// umount(MNT_DETACH) takes mounts apart: to a process whose working folder lies
// in there, what was hidden shows again. So a mount with others below it is
// moved away, and then its mount point is removed from the host: the kernel lets
// go of such mounts as a whole (UMOUNT_CONNECTED), with masks on.
//
// # Mounts below a source
//
// A bind shows one file system. What the host has mounted below the source shows
// as the empty folder that lies under it: what is mounted on the host later can't appear
// inside, and what lies there was not reviewed.
package mounts
