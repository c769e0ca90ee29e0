package where

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func listen(t *testing.T) (*Book, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), strings.Repeat("a folder with a long name ", 4), File)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	var b *Book
	for range 2 { // the second takes the place of one that died
		var err error
		if b, err = Listen(path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
	}
	return b, path
}

// client sends from this process.
func client(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	c, err := net.Dial("unixgram", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}

func say(t *testing.T, c net.Conn, target, port, place string) {
	t.Helper()
	if _, err := c.Write([]byte("1\x00" + target + "\x00" + port + "\x00" + place)); err != nil {
		t.Fatal(err)
	}
}

func TestWhere(t *testing.T) {
	b, path := listen(t)
	c, me := client(t, path), os.Getpid()
	say(t, c, "API.example.", "443", "app.py:12")
	say(t, c, "192.0.2.1", "5432", "db.py:3")
	say(t, c, "::ffff:192.0.2.2", "0", "db.py:4")
	for what, q := range map[string]struct {
		host, addr, want string
	}{
		"a name": {"api.example", "", "app.py:12"}, "a name with another address": {"api.example", "198.18.0.7:443", "app.py:12"},
		"an address": {"", "192.0.2.1:5432", "db.py:3"}, "the address first": {"api.example", "192.0.2.1:1", "db.py:3"}, "mapped": {"", "192.0.2.2:1", "db.py:4"},
		"unknown": {"other.example", "", ""}, "nothing": {"", "", ""},
	} {
		addr, _ := netip.ParseAddrPort(q.addr)
		if got, ok := b.Where(me, q.host, addr); got != q.want || ok != (q.want != "") {
			t.Errorf("%s: %q, %v", what, got, ok)
		}
	}
	if p := b.Port(me, "api.example"); p != 443 {
		t.Errorf("port %d", p)
	}
	if got := b.Claimant(netip.MustParseAddrPort("192.0.2.1:5432")); got != me {
		t.Errorf("%d would connect, not %d", got, me)
	}
	for _, other := range []string{"192.0.2.1:5433", "192.0.2.3:5432"} {
		if got := b.Claimant(netip.MustParseAddrPort(other)); got != 0 {
			t.Errorf("%d would connect to %s", got, other)
		}
	}
	b.note(me+1, []byte("1\x00192.0.2.1\x005432\x00x:1"))
	if got := b.Claimant(netip.MustParseAddrPort("192.0.2.1:5432")); got != 0 {
		t.Errorf("one of two: %d", got)
	}
	if got, ok := b.Where(me+1, "api.example", netip.AddrPort{}); ok {
		t.Errorf("another process said %q", got)
	}
	say(t, c, "api.example", "80", "app.py:99")
	if got, _ := b.Where(me, "api.example", netip.AddrPort{}); got != "app.py:99" {
		t.Errorf("the last word is %q", got)
	}
}

func TestReadAnything(t *testing.T) {
	for _, m := range []string{
		"", "1", "\x00\x00\x00", "2\x00a.example\x001\x00x", "1\x00a.example\x001", "1\x00a.example\x001\x00x\x00y", "1\x00a.example\x0065536\x00x",
		"1\x00a.example\x00-1\x00x", "1\x00\x001\x00x", "1\x00a b\x001\x00x", "1\x00a.example\x001\x00", "1\x00*\x001\x00x",
	} {
		if key, c, ok := read([]byte(m)); ok {
			t.Errorf("%q is %q %+v", m, key, c)
		}
	}
	_, c, ok := read([]byte("1\x00a.example\x001\x00" + strings.Repeat("y", 400) + "\x1b[2J\n\u202e\xff/app.py:1"))
	if !ok || len(c.place) > maxPlace || strings.ContainsAny(c.place, "\x1b\n\u202e") || !utf8.ValidString(c.place) || !strings.HasSuffix(c.place, "/app.py:1") {
		t.Errorf("%q %v", c.place, ok)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("1\x00a.example\x00443\x00app.py:1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, c, ok := read(b)
		if ok && (key == "" || c.place == "" || len(c.place) > 4*maxPlace || strings.ContainsFunc(c.place, func(r rune) bool { return r < ' ' })) {
			t.Errorf("%q is %q %+v", b, key, c)
		}
	})
}

// TestFloodIsBounded: whatever is said, only so much is kept, and who sends without
// waiting never waits.
func TestFloodIsBounded(t *testing.T) {
	b, path := listen(t)
	c := client(t, path)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	dropped := 0
	for i := range 20_000 {
		_ = raw.Control(func(fd uintptr) {
			if err := unix.Send(int(fd), fmt.Appendf(nil, "1\x00n%d.example\x001\x00x:%d", i, i), unix.MSG_DONTWAIT); err != nil {
				dropped++
			}
		})
	}
	if dropped == 0 {
		t.Error("all was taken")
	}
	cs := claims{}
	for pid := 1; pid < 5*maxProcesses; pid++ {
		for n := range 3 * maxClaims {
			cs.add(pid, fmt.Sprint(n), claim{place: "x", at: time.Now()})
		}
	}
	if len(cs) > maxProcesses || len(cs[5*maxProcesses-1]) > maxClaims {
		t.Errorf("%d processes, %d claims of one", len(cs), len(cs[5*maxProcesses-1]))
	}
	if _, ok := cs.find(5*maxProcesses-1, fmt.Sprint(3*maxClaims-1), time.Now()); !ok {
		t.Error("what was said last is gone")
	}
	if _, ok := cs.find(5*maxProcesses-1, fmt.Sprint(3*maxClaims-1), time.Now().Add(validFor)); ok {
		t.Error("it is valid for ever")
	}
	said := make(chan string)
	go func() {
		for { // the flood may have filled the queue
			if _, err := c.Write([]byte("1\x00last.example\x001\x00last:1")); err == nil {
				break
			}
		}
		said <- "it"
	}()
	select {
	case <-said:
	case <-time.After(30 * time.Second):
		t.Fatal("the socket is stuck")
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got, ok := b.Where(os.Getpid(), "last.example", netip.AddrPort{}); ok && got == "last:1" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("after a flood nothing is heard")
		}
	}
}

// TestLiar: a process can't speak for another, nor hand over descriptors, such as one that
// takes long to close.
func TestLiar(t *testing.T) {
	for _, kernel := range []string{"old", "new"} {
		t.Run(kernel, func(t *testing.T) { lie(t, kernel == "old") })
	}
}

func lie(t *testing.T, old bool) {
	b, path := listen(t)
	if old { // as before Linux 6.16: the kernel passes descriptors on
		_ = b.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1) })
	}
	script := `import array, os, socket, struct, sys, threading
os.chdir(sys.argv[1])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("where")
def say(text, *more):
    try:
        s.sendmsg([b"1\0a.example\x001\0" + text], list(more))
        print("sent")
        return True
    except OSError as e:
        print(type(e).__name__)
say(b"forged:1", (socket.SOL_SOCKET, 2, struct.pack("iii", os.getppid(), os.getuid(), os.getgid())))
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(1)
slow = socket.create_connection(l.getsockname())
slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
slow.setblocking(False)
try:
    while True: slow.send(b"x" * 65536)
except BlockingIOError: pass
if say(b"slow:1", (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [slow.fileno()]))):
    threading.Thread(target=os.close, args=(slow.detach(),), daemon=True).start() # who closes last waits: this, or who got the message
else:
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
say(b"true:1")
print(os.getpid(), flush=True)
sys.stdin.read()
`
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "-c", script, filepath.Dir(path))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var a, d, e string
	var pid int
	if _, err := fmt.Fscan(out, &a, &d, &e, &pid); err != nil || e != "sent" {
		t.Fatalf("%v: %s %s %s", err, a, d, e)
	}
	if !old {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if got, ok := b.Where(pid, "a.example", netip.AddrPort{}); ok && got == "true:1" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("what is true isn't heard; descriptors: %s", d)
			}
		}
	}
	begun := time.Now() // the reader may be stuck by now; nobody who asks is
	for range 10 {
		_, _ = b.Where(pid, "a.example", netip.AddrPort{})
	}
	if got, ok := b.Where(os.Getpid(), "a.example", netip.AddrPort{}); ok && os.Geteuid() != 0 {
		t.Errorf("it is said of us: %q", got)
	}
	b.Close()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	_ = in.Close()
	cancel()
	_ = cmd.Wait()
}
