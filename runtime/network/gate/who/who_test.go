package who

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"blast.example/blast/runtime/network/gate/netns"
)

// holder is a process in a namespace of its own that holds a UDP and a
// listening TCP socket.
func holder(t *testing.T) (ns *os.File, pid int, udp, tcp netip.AddrPort) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	path := filepath.Join(t.TempDir(), "net")
	if err := netns.Create(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netns.Unpin(path) })
	ns, err := netns.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	if err := netns.Plumb(ns); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "holder.py")
	if err := os.WriteFile(script, []byte(`import socket, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
l = socket.socket(socket.AF_INET6)
l.bind(("::ffff:127.0.0.1", 0))
l.listen()
print(u.getsockname()[1], l.getsockname()[1], flush=True)
sys.stdin.read()
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+path, "python3", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	var u, l uint16
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &u, &l); err != nil {
		t.Fatal(err)
	}
	at := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(netns.Loopback4, p) }
	return ns, cmd.Process.Pid, at(u), at(l)
}

func check(t *testing.T, f *Finder, s Socket, pid int) {
	t.Helper()
	p, ok := f.Find(s)
	if !ok || p.HostPID != pid || p.PID != pid || !strings.HasPrefix(p.Command, "python") ||
		!strings.HasSuffix(p.Script, "/holder.py") || p.UID == nil || *p.UID != 0 {
		t.Errorf("%s %s is held by %+v, %v; want %d", s.Proto, s.Local, p, ok, pid)
	}
}

func TestFindByNamespace(t *testing.T) {
	ns, pid, udp, tcp := holder(t)
	f := New(ns, "")
	check(t, f, Socket{Proto: "udp", Local: udp}, pid)
	check(t, f, Socket{Proto: "tcp", Local: tcp}, pid)
	if p, ok := f.Find(Socket{Proto: "udp", Local: netip.AddrPortFrom(netns.Loopback4, 1)}); ok {
		t.Errorf("nobody's socket is held by %+v", p)
	}
	if p, ok := f.Only(); !ok || p.HostPID != pid {
		t.Errorf("the only process is %+v, %v", p, ok)
	}
}

func TestFindByCgroup(t *testing.T) {
	ns, pid, udp, _ := holder(t)
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	name := fmt.Sprintf("blast-who-test-%d", os.Getpid())
	for _, dir := range []string{name, name + "/below"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(filepath.Join(root, dir)); err != nil {
				t.Error(err)
			}
		})
	}
	move := func(dir string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	home, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { move(homeOf(string(home))) })
	move(name + "/below")
	f := New(ns, "/"+name)
	if ps := f.pids(); len(ps) != 1 || ps[0] != pid {
		t.Errorf("processes %v, want %d", ps, pid)
	}
	check(t, f, Socket{Proto: "udp", Local: udp}, pid)
}

// homeOf is the cgroup of this process in the hierarchy that the test uses.
func homeOf(cgroup string) string {
	home := "/"
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && (f[1] == "pids" || f[1] == "" && home == "/") {
			home = f[2]
		}
	}
	return home
}

// A process may open as many files as it likes to make a search long.
func TestSearchIsBounded(t *testing.T) {
	var files []*os.File
	for range 100 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if left := maxFiles; !holds(os.Getpid(), os.DevNull, &left) || left > maxFiles-100 {
		t.Errorf("control: %d of %d are left", left, maxFiles)
	}
	if left := 10; holds(os.Getpid(), "socket:[0]", &left) || left > 0 {
		t.Errorf("%d are left of 10", left)
	}
}
