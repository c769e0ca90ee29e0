package who

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/network/gate/netns"
)

// holder is a process in a namespace of its own that holds a UDP and a
// listening TCP socket.
func holder(t testing.TB) (ns *os.File, pid int, udp, tcp netip.AddrPort) {
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
	p, err := f.Find(s)
	if err != nil || p.HostPID != pid || p.PID != pid || !strings.HasPrefix(p.Command, "python") ||
		!strings.HasSuffix(p.Script, "/holder.py") || p.UID == nil || *p.UID != 0 {
		t.Errorf("%s %s is held by %+v, %v; want %d", s.Proto, s.Local, p, err, pid)
	}
}

func TestFindByNamespace(t *testing.T) {
	ns, pid, udp, tcp := holder(t)
	f := New(ns, "")
	check(t, f, Socket{Proto: "udp", Local: udp}, pid)
	check(t, f, Socket{Proto: "tcp", Local: tcp, Listens: true}, pid)
	if p, err := f.Find(Socket{Proto: "udp", Local: netip.AddrPortFrom(netns.Loopback4, 1)}); !errors.Is(err, ErrGone) {
		t.Errorf("nobody's socket is held by %+v, %v", p, err)
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
	left := maxFiles
	if _, ok := holds(os.Getpid(), os.DevNull, &left); !ok || left > maxFiles-100 {
		t.Errorf("control: %d of %d are left", left, maxFiles)
	}
	left = 10
	if _, ok := holds(os.Getpid(), "socket:[0]", &left); ok || left > 0 {
		t.Errorf("%d are left of 10", left)
	}
}

// connected is a process that holds so many connections, each to a listener of its
// own namespace, and tells the ends of the last one.
func connected(t testing.TB, ns string, n int) (s Socket, pid int) {
	t.Helper()
	cmd := exec.Command("nsenter", "--net="+ns, "python3", "-c", fmt.Sprintf(`import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
l = socket.create_server(("127.0.0.1", 0), backlog=100)
held = []
for _ in range(%d):
    held.append(socket.create_connection(l.getsockname()))
    held.append(l.accept()[0])
print(*held[-2].getsockname(), *held[-2].getpeername(), flush=True)
sys.stdin.read()
`, n))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	var at, to string
	var ap, tp uint16
	if _, err := fmt.Fscan(out, &at, &ap, &to, &tp); err != nil {
		t.Fatal(err)
	}
	end := func(a string, p uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), p) }
	return Socket{Proto: "tcp", Local: end(at, ap), Remote: end(to, tp)}, cmd.Process.Pid
}

// TestExactAnswers: each of two processes is told from the other by the ends of
// its connection, and one that is gone is nobody's, also where somebody listens at
// the port that it had.
func TestExactAnswers(t *testing.T) {
	ns, _, _, listener := holder(t)
	f := New(ns, "")
	t.Cleanup(f.Close)
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
	a, pidA := connected(t, path, 3)
	b, pidB := connected(t, path, 3)
	for range 3 {
		if p, err := f.Find(a); err != nil || p.HostPID != pidA {
			t.Errorf("%+v, %v; want %d", p, err, pidA)
		}
		if p, err := f.Find(b); err != nil || p.HostPID != pidB {
			t.Errorf("%+v, %v; want %d", p, err, pidB)
		}
	}
	gone := Socket{Proto: "tcp", Local: listener, Remote: netip.MustParseAddrPort("192.0.2.1:443")}
	if p, err := f.Find(gone); !errors.Is(err, ErrGone) {
		t.Errorf("a connection that is gone is held by %+v, %v", p, err)
	}
}

// TestLooksAreBounded: over the bound nobody is looked for, and nobody guessed.
func TestLooksAreBounded(t *testing.T) {
	ns, pid, udp, _ := holder(t)
	f := New(ns, "")
	t.Cleanup(f.Close)
	s := Socket{Proto: "udp", Local: udp}
	check(t, f, s, pid)
	f.searches = searchesFor(0, 0)
	check(t, f, s, pid) // it was found before
	f.found = nil
	if p, err := f.Find(s); !errors.Is(err, ErrBusy) {
		t.Errorf("without a search: %+v, %v", p, err)
	}
	f.found = nil
	f.searches = searchesFor(time.Second, time.Hour)
	f.mu.Lock() // one that takes long: who waits for it is bounded, too
	done := make(chan error, 2*maxWaiting)
	for range cap(done) {
		go func() { _, err := f.Find(s); done <- err }()
	}
	for range maxWaiting {
		if err := <-done; !errors.Is(err, ErrBusy) {
			t.Errorf("while another is made: %v", err)
		}
	}
	f.mu.Unlock()
	for range maxWaiting {
		if err := <-done; err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
	f.questions = searchesFor(0, 0)
	if p, err := f.Find(s); !errors.Is(err, ErrBusy) {
		t.Errorf("without a question: %+v, %v", p, err)
	}
}

func FuzzInodeOf(f *testing.F) {
	f.Add(make([]byte, answerLen), true)
	f.Fuzz(func(t *testing.T, b []byte, listens bool) {
		if n, err := inodeOf(b, listens); err == nil && n == 0 {
			t.Error("no inode, and no error")
		}
	})
}

// BenchmarkFind looks for the newest of nine thousand connections.
func BenchmarkFind(b *testing.B) {
	ns, _, _, _ := holder(b)
	f := New(ns, "")
	b.Cleanup(f.Close)
	s, pid := connected(b, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()), 9000)
	f.questions, f.searches = searchesFor(time.Second, time.Hour), searchesFor(time.Second, time.Hour)
	for _, how := range []string{"again", "search"} {
		b.Run(how, func(b *testing.B) {
			for b.Loop() {
				if how == "search" {
					f.found = nil
				}
				if p, err := f.Find(s); err != nil || p.HostPID != pid {
					b.Fatalf("%+v, %v", p, err)
				}
			}
		})
	}
}

// The number of a process of the sandbox that is gone may be a process of the host's by
// now: of that nothing is told.
func TestDescribesNoProcessOfTheHost(t *testing.T) {
	ns, inside, _, _ := holder(t)
	host := exec.Command("sleep", "60")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill(); _ = host.Wait() })
	for name, cgroup := range map[string]string{"by namespace": "", "by cgroup": inCgroup(t, inside)} {
		t.Run(name, func(t *testing.T) {
			f := New(ns, cgroup)
			if p := f.Describe(inside); p.HostPID != inside || !strings.HasPrefix(p.Command, "python") || p.UID == nil {
				t.Errorf("its own is %+v", p)
			}
			if p := f.Describe(host.Process.Pid); p != (Process{HostPID: host.Process.Pid}) {
				t.Errorf("the host's is %+v", p)
			}
			if p, err := f.described(host.Process.Pid); !errors.Is(err, ErrGone) {
				t.Errorf("the host's is %+v, %v", p, err)
			}
			if p := f.Describe(1 << 30); p != (Process{HostPID: 1 << 30}) {
				t.Errorf("nobody is %+v", p)
			}
		})
	}
}

// inCgroup moves a process to a cgroup of its own, and returns its name.
func inCgroup(t *testing.T, pid int) string {
	t.Helper()
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	name := fmt.Sprintf("/blast-who-test-%d-%d", os.Getpid(), pid)
	if err := os.Mkdir(root+name, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) // it may be gone
		if err := os.Remove(root + name); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(root+name, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
	return name
}
