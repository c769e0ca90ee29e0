// Package who finds the process behind a socket of a sandbox. It looks while
// the process waits for an answer; one that went away before that is not found,
// and nothing but a message depends on it.
package who

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo/task"
	"blast.example/blast/runtime/network/gate/netns"
)

// A Socket is one side of a connection as the process has it.
type Socket struct {
	Proto  string         // tcp | udp
	Local  netip.AddrPort // in the sandbox
	Remote netip.AddrPort // what the process connected or sent to; zero if not known

	Listens bool // it is a server's, of TCP: Local is where it listens
}

// A Process is what is known about a process of the sandbox.
type Process = task.Process

// Why a process is not known.
var (
	// ErrGone is a socket that no process of the sandbox holds (any more).
	ErrGone = errors.New("no process holds the socket")
	// ErrBusy is a search that was not made, or not to its end, as others took too
	// long just now, or there are too many files: a sandbox decides how many.
	ErrBusy = errors.New("too many searches")
)

// A Finder looks in one sandbox. It may be used by several goroutines; one search
// is made at a time.
type Finder struct {
	ns     *os.File
	cgroup string

	questions *searches // to the kernel, and to processes that were found before
	searches  *searches // through all processes

	waiting atomic.Int32

	mu    sync.Mutex
	diag  *diag // opened by the first search
	found []lead
}

// Bounds of one search, beside its time.
const (
	maxWaiting = 32   // for the one that is being made: who is refused waits for it, too
	maxFiles   = 4096 // open files and processes that one search looks at
)

// New returns a Finder for the namespace and the cgroup (below the mount point
// of each hierarchy) of an environment.
func New(ns *os.File, cgroup string) *Finder {
	return &Finder{ns: ns, cgroup: cgroup, questions: searchesFor(askShare, lookBurst), searches: searchesFor(searchShare, lookBurst)}
}

// Close gives back what the searches needed. The next one would open it again.
func (f *Finder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.diag != nil {
		f.diag.Close()
		f.diag = nil
	}
}

// Find returns the process that holds the socket, ErrGone or ErrBusy.
func (f *Finder) Find(s Socket) (Process, error) {
	defer f.waiting.Add(-1)
	if f.waiting.Add(1) > maxWaiting {
		return Process{}, ErrBusy
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var inode uint32
	var pid int
	err := ErrBusy
	f.questions.make(func() {
		if inode, err = f.inode(s); err == nil {
			pid, _ = f.again(linkTo(inode))
		}
	})
	if errors.Is(err, errAmong) || err == nil && pid == 0 {
		pid, err = f.among(s, inode)
	}
	if err != nil {
		return Process{}, err
	}
	return f.described(pid)
}

// among searches all sockets of the sandbox, if the inode is not known, and then all
// processes.
func (f *Finder) among(s Socket, inode uint32) (pid int, err error) {
	err = ErrBusy
	f.searches.make(func() {
		if inode == 0 {
			if inode, err = f.dump(s); err != nil {
				return
			}
		}
		pid, err = f.search(linkTo(inode))
	})
	return pid, err
}

// linkTo is what a descriptor of the socket reads as; proc_pid_fd(5).
func linkTo(inode uint32) string { return fmt.Sprintf("socket:[%d]", inode) }

// search looks through all processes of the sandbox: first at what each opened
// last, then at all that it has open.
func (f *Finder) search(link string) (int, error) {
	pids := f.pids()
	for _, pid := range pids[:min(len(pids), maxFiles/nearby)] {
		if f.near(lead{pid, newest(pid)}, link) {
			return pid, nil
		}
	}
	left := maxFiles
	for _, pid := range pids {
		if fd, ok := holds(pid, link, &left); ok {
			f.remember(lead{pid, fd})
			return pid, nil
		}
		if left <= 0 {
			return 0, ErrBusy
		}
	}
	return 0, ErrGone
}

// Only returns the one process there is besides the sandbox's init, if it is
// one. A refused TCP connection has no socket left to be found by.
func (f *Finder) Only() (p Process, ok bool) {
	f.searches.make(func() { p, ok = f.only() })
	return p, ok
}

func (f *Finder) only() (Process, bool) {
	var found Process
	for _, pid := range f.pids() {
		p, err := f.described(pid)
		if p.PID == 1 || err != nil {
			continue
		}
		if found.HostPID != 0 {
			return Process{}, false
		}
		found = p
	}
	return found, found.HostPID != 0
}

// errAmong is a socket that must be looked for among all, by its port.
var errAmong = errors.New("not all of the socket is known")

// inode asks the kernel about the socket. If it knows none with just these ends, it is
// errAmong where not both were certain: of a client of the DNS server it isn't known
// which server it meant.
func (f *Finder) inode(s Socket) (uint32, error) {
	if f.diag == nil {
		d, err := openDiag(f.ns)
		if err != nil {
			return 0, err
		}
		f.diag = d
	}
	known := s.Remote.IsValid() || s.Listens
	if !known {
		s.Remote = resolver
	}
	inode, err := f.diag.inode(s)
	if err == nil {
		return inode, nil
	}
	if !errors.Is(err, errNoSocket) { // an answer that comes late would be taken for the next one's
		f.diag.Close()
		f.diag = nil
		return 0, err
	}
	if known {
		return 0, ErrGone
	}
	return 0, errAmong
}

// resolver is what a sandbox's resolv.conf names.
var resolver = netip.AddrPortFrom(netns.Own.Addr(), netns.DNSPort)

// dump goes through all sockets of the namespace. A process may have an IPv6
// socket for an IPv4 address.
func (f *Finder) dump(s Socket) (uint32, error) {
	var h *netlink.Handle
	err := netns.Do(f.ns, func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_INET_DIAG)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer h.Close()
	list := h.SocketDiagTCP
	if s.Proto == "udp" {
		list = h.SocketDiagUDP
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		socks, err := list(family)
		if err != nil {
			return 0, err
		}
		for _, k := range socks {
			if k.ID.SourcePort == s.Local.Port() && k.INode != 0 && k.State != stateListen {
				return k.INode, nil
			}
		}
	}
	return 0, ErrGone
}

// hierarchies are where cgroups are, of version 1 and 2.
var hierarchies = []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"}

// pids lists the sandbox's processes: those of its cgroup or, where there is
// none, those in its network namespace.
func (f *Finder) pids() []int {
	for _, h := range hierarchies {
		if ps := cgroupPIDs(filepath.Join(h, f.cgroup)); len(ps) > 0 && f.cgroup != "" {
			return ps
		}
	}
	return f.namespacePIDs()
}

func cgroupPIDs(dir string) []int {
	var ps []int
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a cgroup that is gone has no processes
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		for _, word := range bytes.Fields(b) {
			if pid, err := strconv.Atoi(string(word)); err == nil {
				ps = append(ps, pid)
			}
		}
		return nil
	})
	return ps
}

func (f *Finder) namespacePIDs() []int {
	id, err := netns.ID(f.ns)
	if err != nil {
		return nil
	}
	es, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var ps []int
	for _, e := range es {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && link == id {
			ps = append(ps, pid)
		}
	}
	return ps
}

// holds looks through at most left files of a process, and counts them. It returns
// the descriptor that the link is of.
func holds(pid int, link string, left *int) (fd int, ok bool) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(*left) // what can't be read is not known
	*left -= len(names) + 1
	for _, name := range slices.Backward(names) { // what was opened last has the highest number, as a rule
		if l, err := os.Readlink(filepath.Join(dir, name)); err == nil && l == link {
			fd, err := strconv.Atoi(name)
			return fd, err == nil
		}
	}
	return 0, false
}
