package netns

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Delayed is how often a new TCP connection found the queue of a listener in the namespace
// full, and has to ask again after a second, two, four and so on, as its kernel does for
// it: TcpExt ListenDrops of proc_net(5), since the namespace was made. The listener may be
// the gate's, or a server's of the sandbox.
func Delayed(ns *os.File) (n uint64, err error) {
	var b []byte
	err = Do(ns, func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/netstat")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read what the kernel counted: %w", err)
	}
	return listenDrops(string(b))
}

// listenDrops reads a table whose columns are named in the line above their values.
func listenDrops(text string) (uint64, error) {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i, name := range names[:min(len(names), len(f))] {
			if name == "ListenDrops" {
				return strconv.ParseUint(f[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("this kernel doesn't say TcpExt ListenDrops")
}
