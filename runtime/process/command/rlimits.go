//go:build linux

package command

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
	"blast.example/blast/runtime/resource/rlimit"
)

// rlimitNumbers are the resources of getrlimit(2).
var rlimitNumbers = map[string]byte{
	"as":         unix.RLIMIT_AS,
	"core":       unix.RLIMIT_CORE,
	"cpu":        unix.RLIMIT_CPU,
	"data":       unix.RLIMIT_DATA,
	"fsize":      unix.RLIMIT_FSIZE,
	"locks":      unix.RLIMIT_LOCKS,
	"memlock":    unix.RLIMIT_MEMLOCK,
	"msgqueue":   unix.RLIMIT_MSGQUEUE,
	"nice":       unix.RLIMIT_NICE,
	"nofile":     unix.RLIMIT_NOFILE,
	"nproc":      unix.RLIMIT_NPROC,
	"rss":        unix.RLIMIT_RSS,
	"rtprio":     unix.RLIMIT_RTPRIO,
	"rttime":     unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING,
	"stack":      unix.RLIMIT_STACK,
}

// rlimits writes limits as init reads them, in the order of their names. An
// unknown one is an error: nothing that was asked for is left out in silence.
func rlimits(limits rlimit.Limits) ([]wire.Rlimit, error) {
	var all []wire.Rlimit
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		n, ok := rlimitNumbers[name]
		if !ok {
			return nil, fmt.Errorf("rlimit %q is unknown to this kernel", name)
		}
		l := limits[name]
		if l.Soft > l.Hard {
			return nil, fmt.Errorf("rlimit %q: soft limit %d is above the hard one, %d", name, l.Soft, l.Hard)
		}
		all = append(all, wire.Rlimit{Resource: n, Soft: l.Soft, Hard: l.Hard})
	}
	return all, nil
}
