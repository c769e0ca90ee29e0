package gate

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/where"
)

// TestRefusalNamesTheLine: a process that says where it looks up or connects is named
// with that, and none is with what another one says.
func TestRefusalNamesTheLine(t *testing.T) {
	s := up(t, webRule(80))
	script := `import os, socket
os.chdir("` + inside.Path(s.env, "") + `")
def say(target, port, place):
    c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    c.sendto(b"1\0%s\0%d\0%s" % (target, port, place), "` + where.File + `")
def try_(host, port):
    try: socket.create_connection((host, port), timeout=5).sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    except OSError: pass
say(b"one.example", 5432, b"app.py:1"); try_("one.example", 5432)
if os.fork() == 0: # of two processes, the one that said so
    say(b"93.184.215.14", 22, b"app.py:2"); try_("93.184.215.14", 22)
    os._exit(0)
os.wait()
say(b"good.example", 80, b"app.py:3\x1b[2J")
c = socket.create_connection(("good.example", 80), timeout=5)
c.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
print(c.recv(12))
if os.fork() == 0:
    try_("silent.example", 443)
    os._exit(0)
os.wait()
say(b"silent.example", 443, b"liar.py:9")
`
	if got := s.python(script); got != "b'HTTP/1.1 403'" {
		t.Fatal(got)
	}
	for target, want := range map[string]string{"one.example": "app.py:1", "93.184.215.14:22": "app.py:2", "good.example:80": "app.py:3?[2J", "silent.example": ""} {
		for _, d := range s.denials(func(d denial.Denial) bool { return d.Target() == target }) {
			if d.Where != want || target == "one.example" && (d.Meant != 5432 || d.Wish() != "one.example:5432") {
				t.Errorf("%s: %+v", target, d)
			}
		}
	}
}

// A process that says where it connects, and ends, leaves its number to whoever comes
// next: a process of the host's is not described in its place.
func TestNumberOfAHostProcessIsNotDescribed(t *testing.T) {
	s := up(t)
	for range 50 { // until the number is had
		pid, err := strconv.Atoi(s.python(`import os, socket
os.chdir("` + inside.Path(s.env, "") + `")
c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
c.sendto(b"1\0%s\0%d\0%s" % (b"` + web + `", 22, b"app.py:1"), "` + where.File + `")
print(os.getpid())`))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skipf("can't choose the number of a process: %v", err)
		}
		host := exec.Command("sleep", "60")
		if err := host.Start(); err != nil {
			t.Fatal(err)
		}
		if host.Process.Pid == pid {
			_, _ = s.dial("tcp", web+":22")
		}
		ds := []denial.Denial{}
		if host.Process.Pid == pid {
			ds = s.denials(func(d denial.Denial) bool { return d.Target() == web+":22" })
		}
		_ = host.Process.Kill()
		_ = host.Wait()
		for _, d := range ds {
			if d.Command != "" || d.PID != 0 || d.HostPID == 0 {
				t.Errorf("it is said to be %+v", d)
			}
		}
		if len(ds) > 0 {
			return
		}
	}
	t.Skip("others took the number, again and again")
}

// The sandbox sees its refusals, and those of no other.
func TestEachSeesItsOwnRefusals(t *testing.T) {
	a, b := up(t), up(t)
	for _, s := range []*sandbox{a, b} {
		s.lookup(fmt.Sprintf("of-%x.example", []byte(s.env.ID)))
	}
	for _, s := range []*sandbox{a, b} {
		text, err := os.ReadFile(inside.Path(s.env, denial.File))
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), fmt.Sprintf("of-%x.example", []byte(s.env.ID))) {
			t.Errorf("%v: %s", err, text)
		}
		for path, mode := range map[string]os.FileMode{inside.Path(s.env, ""): 0o755, inside.Path(s.env, denial.File): 0o644, inside.Path(s.env, where.File): 0o666} {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil || os.FileMode(st.Mode).Perm() != mode || st.Uid != 0 {
				t.Errorf("%s: %o of %d, %v", path, st.Mode, st.Uid, err)
			}
		}
	}
}
