//go:build linux

// Package bombs is what a program in a sandbox takes until there is no more of it. A bomb goes on
// up to a size: outside, where nothing limits it, it must get there, and in a sandbox whose
// limit is below it must not.
package bombs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Bomb is one way.
type Bomb struct {
	Name string
	What string
	Size int // what is more than the limit
	Go   func(dir string, size int) (reached int, err error)
	Dir  string // where it writes inside
	Host string // and outside: /dev/shm, or the disk if it is empty
}

const (
	mib    = 1 << 20
	memory = 96 * mib // the limit is 64 MiB
	tasks  = 128      // the limit is 64
)

// All lists them.
func All() []Bomb {
	return []Bomb{
		{Name: "processes", What: "processes that wait", Size: tasks, Go: processes},
		{Name: "zombies", What: "processes that have ended, and that nobody asks about", Size: tasks, Go: zombies},
		{Name: "threads", What: "threads", Size: tasks, Go: threads},
		{Name: "memory", What: "memory", Size: memory, Go: anonymous},
		{Name: "memfd", What: "memory that looks like a file", Size: memory, Go: memfd},
		{Name: "tmpfs", What: "a file in /tmp", Size: memory, Go: writeFile, Dir: "/tmp", Host: "/dev/shm"},
		{Name: "posix-memory", What: "a file in /dev/shm", Size: memory, Go: writeFile, Dir: "/dev/shm", Host: "/dev/shm"},
		{Name: "system-v-memory", What: "segments of System V", Size: memory, Go: segments},
		{Name: "pipes", What: "what waits in pipes", Size: memory, Go: pipes},
		{Name: "local-sockets", What: "what waits in local sockets", Size: memory, Go: localSockets},
		{Name: "tcp-sockets", What: "what waits in connections of TCP with oneself, counted for the whole machine (tcp_mem)", Size: memory, Go: tcpSockets},
		{Name: "udp-sockets", What: "what waits in sockets of UDP", Size: memory, Go: udpSockets},
		{Name: "page-tables", What: "page tables, for memory that isn't there", Size: memory, Go: pageTables},
		{Name: "disk", What: "a file in the home folder", Size: 48 * mib, Go: writeFile, Dir: "/home/sandbox"},
		{Name: "disk-reserved", What: "the same, reserved and not written", Size: 48 * mib, Go: reserve, Dir: "/home/sandbox"},
		{Name: "files", What: "empty files in the home folder: inodes", Size: 20000, Go: files, Dir: "/home/sandbox", Host: "/dev/shm"},
		{Name: "files-tmp", What: "empty files in /tmp", Size: 70000, Go: files, Dir: "/tmp", Host: "/dev/shm"},
		{Name: "files-shm", What: "empty files in /dev/shm", Size: 5000, Go: files, Dir: "/dev/shm", Host: "/dev/shm"},
		{Name: "terminals", What: "terminals, of which the machine has 4 096", Size: 1100, Go: terminals},
		{Name: "requests", What: "requests of asynchronous I/O, of which the machine has 65 536", Size: 16384, Go: requests},
	}
}

// Named finds a bomb.
func Named(name string) (Bomb, bool) {
	all := All()
	i := slices.IndexFunc(all, func(b Bomb) bool { return b.Name == name })
	if i < 0 {
		return Bomb{}, false
	}
	return all[i], true
}

func processes(_ string, size int) (int, error) {
	var all []*exec.Cmd
	defer func() {
		for _, c := range all {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}()
	for len(all) < size {
		c := exec.Command("/bin/sleep", "1000")
		if err := c.Start(); err != nil {
			return len(all), err
		}
		all = append(all, c)
	}
	return len(all), nil
}

func zombies(_ string, size int) (int, error) {
	for n := range size {
		pid, _, errno := unix.RawSyscall(unix.SYS_FORK, 0, 0, 0)
		if errno != 0 {
			return n, errno
		}
		if pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return size, nil
}

// threads ends this program where it can't have another: that is the runtime's way.
func threads(_ string, size int) (int, error) {
	up := make(chan bool)
	for range size {
		go func() {
			runtime.LockOSThread()
			up <- true
			select {}
		}()
		<-up
	}
	return size, nil
}

func anonymous(_ string, size int) (int, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, err
	}
	for i := 0; i < size; i += 4096 {
		m[i] = 1
	}
	return size, unix.Munmap(m)
}

func memfd(_ string, size int) (int, error) {
	fd, err := unix.MemfdCreate("bomb", 0)
	if err != nil {
		return 0, err
	}
	return fill(fd, size)
}

// fill writes to a descriptor until it has size bytes, or takes no more.
func fill(fd, size int) (int, error) {
	b := make([]byte, mib)
	for n := 0; ; {
		if n >= size {
			return n, nil
		}
		w, err := unix.Write(fd, b[:min(len(b), size-n)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += w
	}
}

func writeFile(dir string, size int) (int, error) {
	f, err := os.CreateTemp(dir, "bomb")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	n, err := fill(int(f.Fd()), size)
	if err == nil {
		err = f.Sync()
	}
	return n, err
}

func reserve(dir string, size int) (int, error) {
	f, err := os.CreateTemp(dir, "bomb")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return 0, err
	}
	return size, nil
}

func segments(_ string, size int) (int, error) {
	const each = 8 * mib
	for n := 0; n < size; n += each {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, each, unix.IPC_CREAT|0o600)
		if err != nil {
			return n, err
		}
		m, err := unix.SysvShmAttach(id, 0, 0)
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		if err != nil {
			return n, err
		}
		for i := 0; i < each; i += 4096 {
			m[i] = 1
		}
	}
	return size, nil
}

// little is what the kernel lets a socket have when nothing is left.
const little = 128 << 10

// waiting fills pairs of descriptors, of which nobody reads one, until they hold size bytes. It is
// stopped when a hundred in a row take little.
func waiting(size int, pair func() (in int, err error)) (int, error) {
	n, idle := 0, 0
	for n < size {
		fd, err := pair()
		if err != nil {
			return n, err
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return n, err
		}
		got, err := fill(fd, size-n)
		n += got
		if got > little {
			idle = 0
		} else if idle++; idle == 100 {
			return n, err
		}
	}
	return n, nil
}

func pipes(_ string, size int) (int, error) {
	return waiting(size, func() (int, error) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return 0, err
		}
		_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, mib)
		return p[1], nil
	})
}

func localSockets(_ string, size int) (int, error) {
	return waiting(size, func() (int, error) {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return 0, err
		}
		_ = unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 4*mib)
		return p[0], nil
	})
}

func tcpSockets(_ string, size int) (int, error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 64)); err != nil {
		return 0, err
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		return 0, err
	}
	return waiting(size, func() (int, error) {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return 0, err
		}
		if err := unix.Connect(c, at); err != nil {
			return 0, err
		}
		_, _, err = unix.Accept(l)
		return c, err
	})
}

func udpSockets(_ string, size int) (int, error) {
	b := make([]byte, 32<<10)
	for n := 0; ; {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return n, err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4*mib)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return n, err
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			return n, err
		}
		before := n
		for range 16 { // as many as are sure to fit
			if err := unix.Sendto(fd, b, 0, at); err != nil {
				break
			}
			var held int
			if held, err = unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil || held == 0 {
				break
			}
			n += len(b)
			if int(meminfo(fd)) > 3*len(b)*4 { // nearly full: what comes now is dropped in silence
				break
			}
		}
		switch {
		case n >= size:
			return n, nil
		case n == before:
			return n, errors.New("a new socket holds nothing")
		}
	}
}

// meminfo is what a socket's receive queue takes (SO_MEMINFO).
func meminfo(fd int) uint32 {
	b, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_MEMINFO)
	if err != nil || len(b) < 4 {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func pageTables(_ string, size int) (int, error) {
	const each = 2 * mib // of addresses, for a table of 4 KiB
	var sum byte
	for n := 0; n < size; n += 4096 * 512 {
		m, err := unix.Mmap(-1, 0, 512*each, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
		if err != nil {
			return n, err
		}
		_ = unix.Madvise(m, unix.MADV_NOHUGEPAGE)
		for i := 0; i < len(m); i += each {
			sum += m[i]
		}
	}
	return size + int(sum), nil
}

func files(dir string, size int) (int, error) {
	d, err := os.MkdirTemp(dir, "bomb")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(d) }()
	for n := range size {
		fd, err := unix.Open(filepath.Join(d, fmt.Sprint(n)), unix.O_CREAT|unix.O_WRONLY, 0o600)
		if err != nil {
			return n, err
		}
		_ = unix.Close(fd)
	}
	return size, nil
}

func terminals(_ string, size int) (int, error) {
	for n := range size {
		if _, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			return n, err
		}
	}
	return size, nil
}

func requests(_ string, size int) (int, error) {
	for n := 0; n < size; n += 4096 {
		ctx := new(uintptr)
		if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 4096, pointer(ctx), 0); errno != 0 {
			return n, errno
		}
	}
	return size, nil
}

// Everywhere forks, and so does whatever it forks: the fork bomb of old. It ends when it is killed.
func Everywhere() error {
	for {
		unix.RawSyscall(unix.SYS_FORK, 0, 0, 0)
	}
}

// Short is an error in one line.
func Short(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimSpace(err.Error())
}
