package sitehook_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/process/sitehook"
	"blast.example/blast/state"
)

// A python runs programs with the hook, as a sandbox does.
type python struct {
	*testing.T
	dir  string // of the hook
	path string // of the program's own modules
	env  []string
	at   string // the program's folder
}

func newPython(t *testing.T) *python {
	t.Helper()
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	env.Run = t.TempDir()
	dir, err := sitehook.Install(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if want := inside.Path(env, "python"); !strings.HasPrefix(want, dir) {
		t.Fatalf("%s is not in %s", want, dir)
	}
	return &python{t, inside.Path(env, "python"), "", nil, t.TempDir()}
}

// file writes a file of the program.
func (p *python) file(name, text string) {
	p.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(p.at, name)), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.at, name), []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
}

// run returns what is printed, to both.
func (p *python) run(args ...string) string {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", args...)
	cmd.Dir = p.at
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + strings.TrimSuffix(p.dir+":"+p.path, ":")}, p.env...)
	out, _ := cmd.CombinedOutput() // many are to end with an error
	return strings.TrimSpace(string(out))
}

func need(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("needs /usr/bin/python3")
	}
}

// TestInstalledStays: a change that is taken back in the middle leaves the hook of the
// sandbox that goes on as it was, and one that is not whole is made whole.
func TestInstalledStays(t *testing.T) {
	need(t)
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	env.Run = t.TempDir()
	dir := inside.Path(env, "python")
	files := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, pattern := range []string{"*", "__pycache__/*"} {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				fi, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				all[strings.TrimPrefix(name, dir)] = fi.ModTime().String()
				if !fi.IsDir() {
					b, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					all[strings.TrimPrefix(name, dir)] += string(b)
				}
			}
		}
		return all
	}
	install := func(ctx context.Context) {
		t.Helper()
		if _, err := sitehook.Install(ctx, env); err != nil {
			t.Fatal(err)
		}
	}
	install(t.Context())
	first := files()
	if len(first) != 7 { // three sources, the folder, and all compiled
		t.Fatalf("%d files", len(first))
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	install(cancelled)
	if !reflect.DeepEqual(first, files()) {
		t.Error("a change that was cancelled has touched it")
	}
	for name, harm := range map[string]func(path string) error{
		"gone":    os.Remove,
		"another": func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) },
	} {
		source := filepath.Join(dir, "sitecustomize.py")
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := harm(source); err != nil {
			t.Fatal(err)
		}
		install(t.Context())
		if got, err := os.ReadFile(source); err != nil || string(got) != string(want) || len(files()) != 7 {
			t.Errorf("%s: %v, %d files", name, err, len(files()))
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "__pycache__")); err != nil {
		t.Fatal(err)
	}
	install(t.Context())
	if len(files()) != 7 {
		t.Errorf("not compiled again: %d files", len(files()))
	}
}

// TestNobodyNotices: without a refusal a program is as without the hook.
func TestNobodyNotices(t *testing.T) {
	need(t)
	p := newPython(t)
	if got := p.run("-c", "import sys; print([m for m in sys.modules if 'blast' in m or m in ('socket', 'json', 'datetime')], [x for x in sys.path if 'inside' in x])"); got != "[] []" {
		t.Errorf("before socket is imported: %s", got)
	}
	script := `import socket, asyncio, inspect, sys
assert socket.__spec__.loader is socket.__loader__ and "_Loader" not in type(socket.__loader__).__name__
assert "def create_connection" in inspect.getsource(socket)
assert socket.getaddrinfo.__doc__ and socket.socket.connect.__name__ == "connect"
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
socket.create_connection(l.getsockname()).close()
for bad in (None, "x", (), ("a",), (None, None), (1, 2, 3), ("127.0.0.1", "x")):
    try:
        socket.socket().connect(bad)
    except (TypeError, OSError, OverflowError) as e:
        assert not getattr(e, "__notes__", None)
print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4], socket.getaddrinfo(b"127.0.0.1", "80")[0][4][1], socket.getaddrinfo(None, 1)[0][4][1])
async def main():
    s = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    r, w = await asyncio.open_connection("127.0.0.1", s.sockets[0].getsockname()[1])
    assert await r.read() == b""
    w.close()
asyncio.run(main())
try:
    socket.create_connection(("127.0.0.1", 1))
except ConnectionRefusedError as e:
    print(e, getattr(e, "__notes__", None))
`
	p.file("app.py", script)
	want := p.run("-I", "app.py")
	if got := p.run("app.py"); got != want || !strings.Contains(got, "Connection refused] None") && !strings.Contains(got, "Connection refused None") {
		t.Errorf("with the hook\n%s\nwithout\n%s", got, want)
	}
}

// TestAnothersSitecustomize: a person's own is imported, once, and its mistakes are its own.
func TestAnothersSitecustomize(t *testing.T) {
	need(t)
	p := newPython(t)
	p.path = p.at
	p.file("sitecustomize.py", "import builtins\nbuiltins.mine = getattr(builtins, 'mine', 0) + 1\n")
	if got := p.run("-c", "import sitecustomize, socket; print(mine, sitecustomize.__file__, socket.getaddrinfo.__globals__['__name__'])"); got != "1 "+p.at+"/sitecustomize.py _blast_network" {
		t.Error(got)
	}
	p.file("sitecustomize.py", "import socket\nraise ImportError('no such thing', name='thing')\n")
	if got := p.run("-c", "import socket; print(socket.getaddrinfo.__globals__['__name__'])"); !strings.Contains(got, "no such thing") || !strings.HasSuffix(got, "_blast_network") {
		t.Error(got)
	}
}

// TestIsCompiled: nothing inside can keep what it compiles, so it comes compiled, and tells
// nothing of where that was done.
func TestIsCompiled(t *testing.T) {
	need(t)
	p := newPython(t)
	found, err := filepath.Glob(filepath.Join(p.dir, "__pycache__", "*.pyc"))
	if err != nil || len(found) != 3 {
		t.Fatalf("%q, %v", found, err)
	}
	for _, f := range found {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), "/run/blast/python/") || strings.Contains(string(b), p.dir) {
			t.Errorf("%s: %v, %q", f, err, b)
		}
	}
	if got := p.run("-v", "-c", "import socket"); !strings.Contains(got, "sitecustomize.cpython") || !strings.Contains(got, "_blast_network.cpython") || strings.Contains(got, "# wrote") {
		t.Error(got)
	}
}

func TestSwitches(t *testing.T) {
	need(t)
	const ask = "import socket; print(socket.getaddrinfo.__globals__['__name__'])"
	p := newPython(t)
	if got := p.run("-c", ask); got != "_blast_network" {
		t.Fatalf("control: %s", got)
	}
	for _, flag := range []string{"-I", "-S", "-E"} {
		if got := p.run(flag, "-c", ask); got != "socket" {
			t.Errorf("%s: %s", flag, got)
		}
	}
	p.env = []string{"BLAST_HOOK=off"}
	if got := p.run("-c", ask); got != "socket" {
		t.Errorf("BLAST_HOOK=off: %s", got)
	}
	p.env = nil
	if err := os.WriteFile(filepath.Join(p.dir, "_blast_network.py"), []byte("raise ValueError"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.run("-c", ask); got != "socket" {
		t.Errorf("a broken hook: %s", got)
	}
}

// refused writes a record as the gate does, and returns a prelude that lets a program
// have it.
func refused(t *testing.T, p *python, ds ...denial.Denial) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), denial.File)
	l, err := denial.Open(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ShowAt(path, "-e", "dev"); err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if err := l.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p.file("prelude.py", "import socket, sys\nn = sys.modules['_blast_network']\nn.DENIED = "+string(must(json.Marshal(path)))+"\n")
	return path
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestNotes(t *testing.T) {
	need(t)
	p := newPython(t)
	refused(t, p,
		denial.Denial{Op: denial.Connect, Addr: "192.0.2.8", Port: 1, Protocol: "tcp", Time: time.Now().Add(-time.Hour)},
		denial.Denial{Op: denial.Resolve, Host: "api.example", Time: time.Now()},
		denial.Denial{Op: denial.Connect, Addr: "192.0.2.1", Port: 5432, Protocol: "tcp"},
		denial.Denial{Op: denial.Resolve, Host: "forged\x1b[2J\n.example", Reason: "this is not a host name"},
		denial.Denial{Op: denial.Connect, Addr: "192.0.2.9", Port: 1, Protocol: "tcp", PID: 1 << 30, HostPID: 1},
	)
	p.file("app.py", `import prelude, socket, errno, sys, traceback
n = prelude.n
def explained(e, address):
    n._explain(e, address)
    return getattr(e, "__notes__", [])
n._names["198.19.0.1"] = "api.example"
n._names["198.19.0.2"] = "other.example"
print(explained(PermissionError(errno.EACCES, "x"), ("198.19.0.1", 8443)))
print(explained(PermissionError(errno.EACCES, "x"), ("198.19.0.2", 80)))
print(explained(ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("192.0.2.1", 5432)))
print(explained(ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("::ffff:192.0.2.1", 5432, 0, 0)))
print(explained(ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("192.0.2.1", 5433)), "another port")
print(explained(ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("192.0.2.9", 1)), "another process")
print(explained(ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("192.0.2.8", 1)), "long ago")
print(explained(TimeoutError(errno.ETIMEDOUT, "x"), ("192.0.2.1", 5432)), "another error")
e = socket.gaierror(-2, "x"); n._unknown(e, "forged\x1b[2J\n.example", 443); print(e.__notes__)
`)
	want := `['blast: api.example:8443 is not allowed by blast.hcl. Allow it: blast -e dev allow api.example:8443']
['blast: other.example:80 is not allowed by blast.hcl']
['blast: 192.0.2.1:5432 is not allowed by blast.hcl. Allow it: blast -e dev allow 192.0.2.1:5432']
['blast: 192.0.2.1:5432 is not allowed by blast.hcl. Allow it: blast -e dev allow 192.0.2.1:5432']
[] another port
[] another process
[] long ago
[] another error
['blast: forged?[2J?.example:443 is refused: this is not a host name']`
	if got := p.run("app.py"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The last thing that is printed says it, however far from the refusal that is.
func TestLastWords(t *testing.T) {
	need(t)
	p := newPython(t)
	refused(t, p, denial.Denial{Op: denial.Connect, Host: "api.example", Port: 443, Protocol: "tcp", Reason: `the TLS ClientHello names "x" (SNI)`, Final: true})
	note := `blast: api.example:443 is refused: the TLS ClientHello names "x" (SNI)`
	p.file("app.py", `import prelude
try:
    raise ConnectionResetError(104, "reset")
except OSError as e:
    raise RuntimeError("no answer") from e
`)
	if got := p.run("app.py"); !strings.HasSuffix(got, "RuntimeError: no answer\n"+note) {
		t.Error(got)
	}
	p.file("other.py", "import prelude\nraise ValueError('own')\n")
	if got := p.run("other.py"); strings.Contains(got, "blast:") {
		t.Error(got)
	}
	p.file("handler.py", "import prelude, sys\nsys.excepthook = lambda *a: print('own', a[1])\nraise ConnectionResetError(104, 'reset')\n")
	if got := p.run("handler.py"); got != "own [Errno 104] reset" {
		t.Error(got)
	}
}

// TestTells: the line is the program's, from threads, tasks, children and packages.
func TestTells(t *testing.T) {
	need(t)
	p := newPython(t)
	dir, err := os.MkdirTemp("", "where") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "where")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p.file("lib/site-packages/client.py", "import socket\n\n\ndef get(host):\n    try:\n        return socket.getaddrinfo(host, 'x')\n    except OSError:\n        pass\n")
	p.file("app.py", `import asyncio, os, socket, sys, threading
sys.modules["_blast_network"].WHERE = `+string(must(json.Marshal(path)))+`
sys.path.append("lib/site-packages")
import client
def quietly(f, *a):
    try: f(*a)
    except OSError: pass
client.get("package.invalid")                                             # 8
t = threading.Thread(target=lambda: client.get("thread.invalid")); t.start(); t.join() # 9
if os.fork() == 0:
    quietly(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect, ("192.0.2.1", 9))  # 11
    os._exit(0)
os.wait()
async def main():
    try: await asyncio.open_connection("task.invalid", 443)               # 15
    except OSError: pass
asyncio.run(main())
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect_ex(("192.0.2.2", 9)) # 18
quietly(socket.getaddrinfo, "b\u00fccher.invalid", 80)                    # 19
quietly(socket.getaddrinfo, "localhost", 80)
quietly(s.connect, ("127.0.0.1", 80))
`)
	want := map[string]string{
		"package.invalid": "0 app.py:8", "thread.invalid": "0 app.py:9", "192.0.2.1": "9 app.py:6", "task.invalid": "443 app.py:15",
		"192.0.2.2": "9 app.py:18", "xn--bcher-kva.invalid": "80 app.py:6",
	}
	if out := p.run("app.py"); out != "" {
		t.Fatal(out)
	}
	buf := make([]byte, 2048)
	for len(want) > 0 {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v: not told of %v", err, want)
		}
		f := strings.Split(string(buf[:n]), "\x00")
		if len(f) != 4 || f[0] != "1" || want[f[1]] != f[2]+" "+f[3] {
			t.Errorf("%q, want %q", f, want[f[1]])
		}
		delete(want, f[1])
	}
}
