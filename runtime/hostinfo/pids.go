package hostinfo

import "os"

// InitialPIDs reports whether this process counts others as the kernel does, which
// tells numbers of the initial PID namespace in its log and to netlink.
func InitialPIDs() bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && ns == "pid:[4026531836]" // PROC_PID_INIT_INO of linux/proc_ns.h
}
