package netns

import (
	"fmt"
	"os"
)

// pingRange is who may make ICMP echo sockets, by group; icmp(7). New namespaces have
// pingNobody.
const (
	pingRange   = "net/ipv4/ping_group_range"
	pingNobody  = "1 0"
	pingAnybody = "0 2147483647"
)

func pinging(allowed bool) string {
	if allowed {
		return pingAnybody
	}
	return pingNobody
}

// AllowPing lets commands make sockets for ICMP echo, or none. Where such packets may go
// the packet filter says.
func AllowPing(ns *os.File, allowed bool) error {
	return Do(ns, func() error {
		if have, err := sysctl(pingRange); err != nil || have == pinging(allowed) {
			return err
		}
		if err := os.WriteFile("/proc/sys/"+pingRange, []byte(pinging(allowed)), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
		return nil
	})
}

// InspectPing says how the namespace differs from what AllowPing made of it.
func InspectPing(ns *os.File, allowed bool) (wrong []string, err error) {
	err = Do(ns, func() error {
		have, err := sysctl(pingRange)
		if err == nil && have != pinging(allowed) {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", pingRange, have, pinging(allowed)))
		}
		return err
	})
	return wrong, err
}
