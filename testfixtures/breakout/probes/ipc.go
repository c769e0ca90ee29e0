//go:build linux

package probes

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const ipcCategory = "Shared memory, queues and semaphores of the host"

func ipcProbes() []Probe {
	var ps []Probe
	add := func(p Probe) { p.Category, p.Name = ipcCategory, "ipc-"+p.Name; ps = append(ps, p) }
	get := func(nr uintptr, args ...uintptr) func(*Aim) error {
		return func(a *Aim) error { _, err := call(nr, append([]uintptr{uintptr(a.Key)}, args...)...); return err }
	}
	add(Probe{Name: "memory", What: "a segment by its key", Try: get(unix.SYS_SHMGET, 1, 0)})
	add(Probe{Name: "queue", What: "a queue by its key", Try: get(unix.SYS_MSGGET, 0)})
	add(Probe{Name: "semaphore", What: "a semaphore by its key", Try: get(unix.SYS_SEMGET, 1, 0)})
	add(Probe{Name: "list", What: "the list of all of them", Try: func(*Aim) error {
		b, err := os.ReadFile("/proc/sysvipc/shm")
		if err == nil && len(b) < 256 { // a line of headings
			err = errors.New("it is empty")
		}
		return err
	}})
	add(Probe{Name: "posix-memory", What: "a file in the host's /dev/shm", Reads: true, Try: func(a *Aim) error { return a.read(filepath.Join("/dev/shm", a.Shm)) }})
	add(Probe{Name: "temporary", What: "a file in the host's /tmp", Reads: true, Try: func(a *Aim) error { return a.read(filepath.Join("/tmp", a.Shm)) }})
	add(Probe{Name: "posix-queue", What: "a queue of POSIX by its name", Try: func(a *Aim) error {
		fd, err := call(unix.SYS_MQ_OPEN, str(a.Shm), unix.O_RDONLY|unix.O_NONBLOCK, 0, 0)
		if err == nil {
			err = unix.Close(int(fd))
		}
		return err
	}})
	return ps
}
