// Package who finds the process behind a socket of a sandbox. It looks while
// the process waits for an answer; one that went away before that is not found,
// and nothing but a message depends on it.
package who

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// A Socket is one side of a connection as the process has it.
type Socket struct {
	Proto  string         // tcp | udp
	Local  netip.AddrPort // in the sandbox
	Remote netip.AddrPort // zero if not known
}

// A Process is what is known about a process. The sandbox chose Command and
// Script.
type Process struct {
	PID, HostPID int
	UID          *uint32 // on the host
	Command      string
	Script       string // the first argument that names a Python file
}

// A Finder looks in one sandbox.
type Finder struct {
	ns     *os.File
	cgroup string
}

// New returns a Finder for the namespace and the cgroup (below the mount point
// of each hierarchy) of an environment.
func New(ns *os.File, cgroup string) *Finder { return &Finder{ns, cgroup} }

// Find returns the process that holds the socket.
func (f *Finder) Find(s Socket) (Process, bool) {
	inode, err := f.inode(s)
	if err != nil || inode == 0 {
		return Process{}, false
	}
	link := fmt.Sprintf("socket:[%d]", inode)
	left := maxFiles
	for _, pid := range f.pids() {
		if holds(pid, link, &left) {
			return describe(pid), true
		}
		if left <= 0 {
			break
		}
	}
	return Process{}, false
}

// maxFiles bounds a search, in open files and processes that are looked at: a
// sandbox has as many as it likes, and it is the daemon that searches.
const maxFiles = 4096

// Only returns the one process there is besides the sandbox's init, if it is
// one. A refused TCP connection has no socket left to be found by.
func (f *Finder) Only() (Process, bool) {
	var found Process
	for _, pid := range f.pids() {
		p := describe(pid)
		if p.PID == 1 || p.HostPID == 0 {
			continue
		}
		if found.HostPID != 0 {
			return Process{}, false
		}
		found = p
	}
	return found, found.HostPID != 0
}

// Describe is what is known about a process; of one that is gone only its number.
func Describe(pid int) Process {
	p := describe(pid)
	p.HostPID = pid
	return p
}

// inode asks sock_diag(7) inside the namespace. A process may have an IPv6
// socket for an IPv4 address.
func (f *Finder) inode(s Socket) (uint32, error) {
	h, err := netlink.NewHandleAt(vnetns.NsHandle(int(f.ns.Fd())), unix.NETLINK_INET_DIAG)
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
			if k.ID.SourcePort == s.Local.Port() && (!s.Remote.IsValid() || k.ID.DestinationPort == s.Remote.Port()) && k.INode != 0 {
				return k.INode, nil
			}
		}
	}
	return 0, nil
}

// pids lists the sandbox's processes: those of its cgroup or, where there is
// none, those in its network namespace.
func (f *Finder) pids() []int {
	for _, h := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
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

// holds looks through at most left files of a process, and counts them.
func holds(pid int, link string, left *int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(*left) // what can't be read is not known
	*left -= len(names) + 1
	return slices.ContainsFunc(names, func(name string) bool {
		l, err := os.Readlink(filepath.Join(dir, name))
		return err == nil && l == link
	})
}

// describe reads proc(5). A process that is gone is zero.
func describe(pid int) Process {
	dir := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Process{}
	}
	p := Process{HostPID: pid, PID: pid}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch key {
		case "Name":
			p.Command = strings.TrimSpace(value)
		case "NSpid":
			p.PID, _ = strconv.Atoi(words[len(words)-1])
		case "Uid":
			if n, err := strconv.ParseUint(words[0], 10, 32); err == nil {
				uid := uint32(n)
				p.UID = &uid
			}
		}
	}
	words := args(dir)
	if i := slices.IndexFunc(words, func(a string) bool { return strings.HasSuffix(a, ".py") }); i >= 0 {
		p.Script = words[i]
	}
	return p
}

func args(dir string) []string {
	f, err := os.Open(dir + "/cmdline")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 4096)
	n, _ := f.Read(buf) // what can't be read is not known
	text := strings.TrimRight(string(buf[:n]), "\x00")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}
