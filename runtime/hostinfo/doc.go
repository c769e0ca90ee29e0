// Package hostinfo says what this host can do for a sandbox: facts found by
// doing, never by name or version where doing is possible, and what follows from
// them, which is pure and tested with the facts of well-known hosts.
//
// The package itself has the probes that any user may run. Those that need root
// (namespaces, firewall, cgroups, mounts) are in package probe, which only the
// daemon links. A probe leaves nothing behind: what it makes belongs to a thread
// that ends, to a descriptor that closes, or is removed before it returns.
package hostinfo
