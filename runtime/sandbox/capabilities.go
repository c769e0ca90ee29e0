//go:build linux

package sandbox

// grantable are the capabilities(7) that a sandbox may be given. They count in
// its own user namespace only. Those that are missing would let a command undo
// its sandbox: mount over or read what is hidden (SYS_ADMIN, DAC_OVERRIDE,
// DAC_READ_SEARCH), take over its init (SYS_PTRACE), give files rights that
// outlive it (SETFCAP, MKNOD); or they mean nothing here, as the network
// namespace and the machine belong to the host.
var grantable = map[string]uint{ // numbers from linux/capability.h
	"CAP_CHOWN":  0,
	"CAP_FOWNER": 3,
	"CAP_KILL":   5,
	"CAP_SETGID": 6,
	"CAP_SETUID": 7,
}

// Grantable reports whether a sandbox may have the capability.
func Grantable(name string) bool {
	_, ok := grantable[name]
	return ok
}

// capabilityBits is the set as /proc/PID/status shows it.
func capabilityBits(names []string) uint64 {
	var bits uint64
	for _, n := range names {
		bits |= 1 << grantable[n]
	}
	return bits
}
