//go:build linux

package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/command/wire"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
)

// asClient makes the test program a client: BLAST_TEST_CLIENT is the socket, the
// arguments are the command.
const asClient = "BLAST_TEST_CLIENT"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asClient); socket != "" {
		code, err := command.Run(context.Background(), socket, command.Request{
			Args: os.Args[1:], Env: []string{path}, Dir: "/", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "client:", err)
		}
		os.Exit(code)
	}
	os.Exit(sandboxtest.Main(m))
}

const path = "PATH=/usr/bin:/bin"

func start(t testing.TB) (*sandbox.Sandbox, string) {
	t.Helper()
	s := sandboxtest.Start(t, sandboxtest.Env(t))
	return s, sandbox.SocketPath(s.Env, s.ID)
}

// run runs a request with captured output.
func run(t testing.TB, socket string, req command.Request) (code int, out string, err error) {
	t.Helper()
	r, w, perr := os.Pipe()
	if perr != nil {
		t.Fatal(perr)
	}
	text := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(r); text <- b }()
	req.Stdout, req.Stderr = w, w
	if req.Env == nil {
		req.Env = []string{path}
	}
	if req.Dir == "" {
		req.Dir = "/"
	}
	code, err = command.Run(context.Background(), socket, req)
	_ = w.Close()
	out = string(<-text)
	_ = r.Close()
	return code, out, err
}

func sh(script string) []string { return []string{"sh", "-c", script} }

func TestExitCodes(t *testing.T) {
	s, socket := start(t)
	dir := sandbox.SkeletonDir(s.Env, s.ID)
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "script": 0o755, "lost": 0o755, "empty": 0o755} {
		text := map[string]string{"script": "echo from a script $0 $1", "lost": "#!/no/such/interpreter\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, "workspace", name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		text string // in the output or the error
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"false"}, 1, ""},
		{sh("exit 42"), 42, ""},
		{sh("exit 255"), 255, ""},
		{sh("kill -TERM $$"), 128 + 15, ""},
		{sh("kill -SEGV $$"), 128 + 11, ""},
		{[]string{"no-such-command"}, 127, "no-such-command: not found in the sandbox's PATH"},
		{[]string{"/no/such/command"}, 127, "no such file"},
		{[]string{"/workspace/plain"}, 126, "permission denied"},
		{[]string{"/workspace"}, 126, "is a folder"},
		{[]string{"/workspace/lost"}, 127, "interpreter was not found"},
		{[]string{"/workspace/script", "x"}, 0, "from a script /workspace/script x"},
		{[]string{"/workspace/empty"}, 0, ""},
		{[]string{"workspace/script"}, 0, "from a script"}, // relative to the working folder
	} {
		code, out, err := run(t, socket, command.Request{Args: c.args})
		if code != c.code || !strings.Contains(out+fmt.Sprint(err), c.text) {
			t.Errorf("%q: %d %q %v, want %d %q", c.args, code, out, err, c.code, c.text)
		}
		if (err != nil) != (code >= 125 && code <= 127) {
			t.Errorf("%q: code %d with error %v", c.args, code, err)
		}
		// The same by way of the shim.
		code, out, _ = run(t, socket, command.Request{Args: c.args, Rlimits: resource.Rlimits{"core": {}}})
		if code != c.code {
			t.Errorf("%q with rlimits: %d %q, want %d", c.args, code, out, c.code)
		}
	}
}

func TestWhatACommandStartsWith(t *testing.T) {
	_, socket := start(t)
	for _, c := range []struct {
		name string
		req  command.Request
		want string
	}{
		{"arguments", command.Request{Args: []string{"printf", "[%s]", "", "a b", "\xff\xfe", "*"}}, "[][a b][\xff\xfe][*]"},
		{"environment", command.Request{Args: []string{"env"}, Env: []string{"A=", "B=x=y", path}}, "A=\nB=x=y\n" + path + "\n"},
		{"folder", command.Request{Args: []string{"pwd"}, Dir: "/usr/lib"}, "/usr/lib\n"},
		{"process", command.Request{Args: sh("ps -o pid=,pgid=,sid=,tty= $$ | tr -s ' ' | sed 's/^ //'; echo $$")}, ""},
		{"no stdin", command.Request{Args: []string{"cat"}}, ""},
		{"signals", command.Request{Args: []string{"sed", "-n", "/^Sig[BIC]/p", "/proc/self/status"}}, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"},
		{"umask", command.Request{Args: sh("umask")}, "0022\n"},
	} {
		code, out, err := run(t, socket, c.req)
		if code != 0 || err != nil || (out != c.want && c.name != "process") {
			t.Errorf("%s: %d %q %v, want %q", c.name, code, out, err, c.want)
		}
		if f := strings.Fields(out); c.name == "process" && (len(f) != 5 || f[0] != f[1] || f[0] != f[2] || f[3] != "?" || f[0] != f[4]) {
			t.Errorf("a command leads no session of its own, or has a terminal: %q", out)
		}
	}
}

func TestWorkingFolder(t *testing.T) {
	_, socket := start(t)
	for dir, text := range map[string]string{"/missing": "/missing: no such file", "/etc/passwd": "not a directory", "relative": "isn't absolute"} {
		code, out, err := run(t, socket, command.Request{Args: []string{"true"}, Dir: dir})
		if code != 126 || err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %d %q %v", dir, code, out, err)
		}
	}
}

func TestStdin(t *testing.T) {
	_, socket := start(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = w.WriteString(strings.Repeat("x", 1<<20)); _ = w.Close() }()
	code, out, err := run(t, socket, command.Request{Args: []string{"wc", "-c"}, Stdin: r})
	if code != 0 || strings.TrimSpace(out) != "1048576" || err != nil {
		t.Error(code, out, err)
	}
}

// A folder of the host, passed as a file, would be a way out.
func TestFoldersAreNotPassed(t *testing.T) {
	_, socket := start(t)
	dir, err := os.Open("/root")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if code, _, err := run(t, socket, command.Request{Args: []string{"true"}, Stdin: dir}); code != 125 || err == nil {
		t.Errorf("the client passes a folder: %d %v", code, err)
	}
	// Init doesn't rely on the client.
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	cmd := wire.Command{Args: []string{"true"}, Dir: "/"}
	if k, b := raw(t, socket, cmd, dir, null, null); k != wire.Failed || !bytes.Contains(b, []byte("folder")) {
		t.Errorf("init takes a folder: %q %q", k, b)
	}
	if k, b := raw(t, socket, cmd, null, null, null); k != wire.Started {
		t.Errorf("the control: %q %q", k, b)
	}
	master, slave := openPTY(t)
	defer func() { _ = master.Close() }()
	defer func() { _ = slave.Close() }()
	if k, b := raw(t, socket, cmd, slave, null, null); k != wire.Failed || !bytes.Contains(b, []byte("terminal")) {
		t.Errorf("init takes the host's terminal: %q %q", k, b)
	}
}

// raw sends a command without the client's checks and returns the first answer.
func raw(t *testing.T, socket string, cmd wire.Command, files ...*os.File) (wire.Kind, []byte) {
	t.Helper()
	c := dial(t, socket)
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := c.WriteMsgUnix(wire.Frame(wire.Run, cmd.Append(nil)), unix.UnixRights(fds...), nil); err != nil {
		t.Fatal(err)
	}
	return answer(t, c)
}

func dial(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer reads a frame; kind 0 is the end of the connection.
func answer(t *testing.T, c net.Conn) (wire.Kind, []byte) {
	t.Helper()
	head := make([]byte, wire.HeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("init neither answers nor hangs up")
		}
		return 0, nil
	}
	k, n, err := wire.Header(head, wire.MaxReply)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return k, b
}

func TestRlimits(t *testing.T) {
	_, socket := start(t)
	code, out, err := run(t, socket, command.Request{
		Args:    sh("ulimit -Sn; ulimit -Hn; ulimit -f; ulimit -c"),
		Rlimits: resource.Rlimits{"nofile": {Soft: 100, Hard: 200}, "fsize": {Soft: 1 << 20, Hard: 1 << 20}, "core": {}},
	})
	if code != 0 || out != "100\n200\n2048\n0\n" || err != nil {
		t.Errorf("%d %q %v", code, out, err)
	}
	// Enforced, not only shown.
	code, out, _ = run(t, socket, command.Request{
		Args: sh("trap '' XFSZ; dd if=/dev/zero of=/tmp/big bs=1M count=2"), Rlimits: resource.Rlimits{"fsize": {Soft: 1 << 20, Hard: 1 << 20}},
	})
	if code == 0 || !strings.Contains(out, "File too large") {
		t.Errorf("%d %q", code, out)
	}
	// Never above what the sandbox itself has.
	var have unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &have); err != nil {
		t.Fatal(err)
	}
	code, out, err = run(t, socket, command.Request{
		Args: sh("ulimit -Hl"), Rlimits: resource.Rlimits{"memlock": {Soft: unix.RLIM_INFINITY, Hard: unix.RLIM_INFINITY}},
	})
	want := "unlimited"
	if have.Max != unix.RLIM_INFINITY {
		want = strconv.FormatUint(have.Max>>10, 10)
	}
	if code != 0 || strings.TrimSpace(out) != want || err != nil {
		t.Errorf("memlock: %d %q %v, want %s", code, out, err, want)
	}
	// The next command has the sandbox's own limits again.
	if _, out, _ := run(t, socket, command.Request{Args: sh("ulimit -f")}); out != "unlimited\n" {
		t.Errorf("fsize of the next command: %q", out)
	}
	for name, l := range map[string]resource.Rlimit{"nosuch": {}, "nofile": {Soft: 2, Hard: 1}} {
		if code, _, err := run(t, socket, command.Request{Args: []string{"true"}, Rlimits: resource.Rlimits{name: l}}); code != 125 || err == nil {
			t.Errorf("%s %+v: %d %v", name, l, code, err)
		}
	}
}

// Limits so tight that the shim itself would not start under them.
func TestTightRlimits(t *testing.T) {
	_, socket := start(t)
	for name, n := range map[string]uint64{"as": 64 << 20, "nofile": 8, "stack": 256 << 10, "cpu": 5, "data": 16 << 20} {
		code, out, err := run(t, socket, command.Request{Args: []string{"true"}, Rlimits: resource.Rlimits{name: {Soft: n, Hard: n}}})
		if code != 0 {
			t.Errorf("%s = %d: %d %q %v", name, n, code, out, err)
		}
	}
}

// client starts the test program as a client of its own process, for signals.
func client(t *testing.T, socket string, args ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asClient+"="+socket)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func line(t *testing.T, r io.Reader) string {
	t.Helper()
	var b []byte
	one := make([]byte, 1)
	for {
		if _, err := r.Read(one); err != nil {
			t.Fatalf("%v after %q", err, b)
		}
		if one[0] == '\n' {
			return string(b)
		}
		b = append(b, one[0])
	}
}

// exitCode is -1 if the client has to be killed.
func exitCode(cmd *exec.Cmd) int {
	defer time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

func TestSignalsArePassedOn(t *testing.T) {
	_, socket := start(t)
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
		cmd, out := client(t, socket, sh("trap 'echo got "+name+"; exit 7' "+name+"; echo ready; while :; do sleep 0.05; done")...)
		if got := line(t, out); got != "ready" {
			t.Fatal(got)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if got := line(t, out); got != "got "+name {
			t.Errorf("%s: %q", name, got)
		}
		if code := exitCode(cmd); code != 7 {
			t.Errorf("%s: exit code %d", name, code)
		}
		// Without a handler it ends the command, and the client ends likewise.
		cmd, out = client(t, socket, sh("echo ready; exec sleep 60")...)
		line(t, out)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(cmd); code != 128+int(sig) {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

// Stopping the client stops the command, and letting it go on lets the command.
func TestStopAndContinue(t *testing.T) {
	s, socket := start(t)
	// A shell would not do: while it waits for a child of vfork(2) that is stopped,
	// it can't stop itself.
	cmd, out := client(t, socket, "python3", "-uc", "import os, time\nprint(os.getpid())\nwhile True: time.sleep(0.01); print('tick')")
	inside := line(t, out)
	pid := hostPID(t, s, inside)
	line(t, out)
	if err := cmd.Process.Signal(unix.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	await(t, "command and client to stop", func() bool { return stateOf(pid) == "T" && stateOf(cmd.Process.Pid) == "T" })
	if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await(t, "command to go on", func() bool { s := stateOf(pid); return s == "S" || s == "R" })
	line(t, out)
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if code := exitCode(cmd); code != 128+15 {
		t.Errorf("exit code %d", code)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// stateOf is the letter of proc_pid_stat(5); "" has ended.
func stateOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[0]
}

// processes maps each process of the sandbox from its number inside to the one
// outside.
func processes(t testing.TB, s *sandbox.Sandbox) map[string]int {
	t.Helper()
	all := map[string]int{}
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.PID()))
	if err != nil {
		return all
	}
	es, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err != nil || ns != ours {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/status")
		for l := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(l, "NSpid:"); ok {
				f := strings.Fields(rest)
				all[f[len(f)-1]] = pid
			}
		}
	}
	return all
}

func hostPID(t testing.TB, s *sandbox.Sandbox, inside string) int {
	t.Helper()
	pid, ok := processes(t, s)[inside]
	if !ok {
		t.Fatalf("no process %s in the sandbox", inside)
	}
	return pid
}

// If the client dies, so does its command, with all that it started, even what
// ignores SIGHUP or made a session of its own. Another client's is left alone.
func TestClientDeath(t *testing.T) {
	s, socket := start(t)
	other, otherOut := client(t, socket, sh("echo ready; read x; exit 5")...)
	_ = otherOut
	cmd, out := client(t, socket, sh(`trap '' HUP TERM
		(trap '' HUP; sleep 1001) & setsid sleep 1002 & sleep 1003 &
		echo ready; sleep 1004`)...)
	line(t, out)
	await(t, "all processes", func() bool { return len(sleepers(t, s)) == 4 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "the session's end", func() bool { return len(sleepers(t, s)) == 0 })
	if err := other.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("another client's command: %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	await(t, "everything's end", func() bool { return len(processes(t, s)) == 1 })
	if err := s.Running(t.Context()); err != nil {
		t.Error(err)
	}
}

func sleepers(t testing.TB, s *sandbox.Sandbox) []int {
	var all []int
	for _, pid := range processes(t, s) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.HasPrefix(b, []byte("sleep\x00100")) {
			all = append(all, pid)
		}
	}
	return all
}

func TestCancel(t *testing.T) {
	s, socket := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := command.Run(ctx, socket, command.Request{Args: sh("echo ready; sleep 1001"), Env: []string{path}, Dir: "/", Stdout: w})
		done <- err
	}()
	line(t, r)
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Error(err)
	}
	await(t, "the command's end", func() bool { return len(processes(t, s)) == 1 })
}

// What a command leaves behind goes on, and is reaped when it ends.
func TestBackgroundProcessesAreReaped(t *testing.T) {
	s, socket := start(t)
	code, out, err := run(t, socket, command.Request{Args: sh("for i in $(seq 20); do setsid sh -c 'sleep 0.1; sleep 0.1' >/dev/null 2>&1 & done; (sleep 1001 >/dev/null 2>&1 &)")})
	if code != 0 {
		t.Fatal(code, out, err)
	}
	await(t, "19 orphans to be reaped", func() bool { return len(processes(t, s)) == 2 })
	if len(sleepers(t, s)) != 1 {
		t.Error("the one that goes on is gone")
	}
}

func TestManyAtOnce(t *testing.T) {
	s, socket := start(t)
	tasks := threads(t, s.PID())
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			want := i % 100
			code, out, err := run(t, socket, command.Request{Args: sh(fmt.Sprintf("head -c 100000 /dev/zero | wc -c; exit %d", want))})
			if code != want || strings.TrimSpace(out) != "100000" || err != nil {
				t.Errorf("%d: %d %q %v", i, code, out, err)
			}
		})
	}
	wg.Wait()
	await(t, "everything's end", func() bool { return len(processes(t, s)) == 1 })
	if n := threads(t, s.PID()); n != tasks {
		t.Errorf("init had %d threads and has %d: with a full pids limit it would die", tasks, n)
	}
	if n := descriptors(t, s.PID()); n > 8 {
		t.Errorf("init has %d descriptors left", n)
	}
}

func threads(t testing.TB, pid int) int { return entries(t, pid, "task") }

func descriptors(t testing.TB, pid int) int { return entries(t, pid, "fd") }

func entries(t testing.TB, pid int, dir string) int {
	t.Helper()
	es, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

// Init has to live on when the sandbox has all the processes that it may have.
func TestFullPIDsLimit(t *testing.T) {
	s, socket := start(t)
	leaf := "/sys/fs/cgroup/pids" + s.Env.Cgroup
	if _, err := os.Stat(leaf); err != nil {
		leaf = "/sys/fs/cgroup" + s.Env.Cgroup
	}
	if err := os.WriteFile(leaf+"/pids.max", []byte("40"), 0); err != nil {
		t.Fatal(err)
	}
	bomb, out := client(t, socket, "python3", "-c", `
import os, signal
print("ready", flush=True)
while True:
    try:
        if os.fork() == 0:
            signal.pause()
    except BlockingIOError:
        signal.pause()
`)
	line(t, out)
	await(t, "a full sandbox", func() bool { return len(processes(t, s)) > 25 })
	for range 20 {
		code, _, err := run(t, socket, command.Request{Args: []string{"true"}})
		if code != 0 && (err == nil || !strings.Contains(err.Error(), "limit")) && code != 2 {
			t.Errorf("%d %v", code, err)
		}
	}
	if err := s.Running(t.Context()); err != nil {
		t.Error(err)
	}
	_ = bomb.Process.Kill()
	_ = bomb.Wait()
	await(t, "its end", func() bool { return len(processes(t, s)) == 1 })
	if code, out, err := run(t, socket, command.Request{Args: []string{"true"}}); code != 0 {
		t.Error(code, out, err)
	}
}

// Whatever is said to init, it answers in its protocol or hangs up, keeps
// nothing open, and goes on.
func TestGarbage(t *testing.T) {
	s, socket := start(t)
	good := wire.Command{Args: []string{"true"}, Dir: "/", Env: []string{path}}
	frame := wire.Frame(wire.Run, good.Append(nil))
	otherVersion := slices.Clone(frame)
	otherVersion[1]++
	before := descriptors(t, s.PID())
	for name, b := range map[string][]byte{
		"text":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"zeros":            make([]byte, 4096),
		"huge length":      {'B', wire.Version, byte(wire.Run), 0, 0xff, 0xff, 0xff, 0xff},
		"unknown kind":     wire.Frame('?', nil),
		"an answer":        wire.Frame(wire.Exited, []byte{0, 0}),
		"empty command":    wire.Frame(wire.Run, nil),
		"broken command":   wire.Frame(wire.Run, bytes.Repeat([]byte{0xff}, 1000)),
		"no descriptors":   frame,
		"signal too early": wire.Frame(wire.Signal, []byte{9}),
		"other version":    otherVersion,
		"hello with load":  wire.Frame(wire.Hello, []byte{1}),
	} {
		c := dial(t, socket)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		k, payload := answer(t, c)
		if name == "other version" {
			if k != wire.Failed || !bytes.Contains(payload, []byte("version")) {
				t.Errorf("%s: %q %q", name, k, payload)
			}
			k, _ = answer(t, c)
		}
		if k != 0 {
			t.Errorf("%s: the connection goes on with %q", name, k)
		}
		_ = c.Close()
	}
	half := dial(t, socket) // never says more
	if _, err := half.Write(frame[:11]); err != nil {
		t.Fatal(err)
	}
	tooMany(t, socket, frame)
	lateDescriptors(t, socket, frame)
	badSignals(t, socket, frame)
	await(t, "descriptors to be closed", func() bool { return descriptors(t, s.PID()) <= before+3 }) // half, and two of the runtime's poller
	if err := s.Running(t.Context()); err != nil {
		t.Error(err)
	}
}

// tooMany passes more descriptors than a command has files.
func tooMany(t *testing.T, socket string, frame []byte) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for _, n := range []int{1, 4, 60} {
		c := dial(t, socket)
		fds := slices.Repeat([]int{int(null.Fd())}, n)
		if _, _, err := c.WriteMsgUnix(frame, unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
		if k, _ := answer(t, c); k != 0 {
			t.Errorf("%d descriptors: %q", n, k)
		}
	}
}

// began starts a command that runs until its connection ends.
func began(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	c := dial(t, socket)
	cmd := wire.Command{Args: []string{"sleep", "1001"}, Dir: "/", Env: []string{path}}
	fd := int(null.Fd())
	if _, _, err := c.WriteMsgUnix(wire.Frame(wire.Run, cmd.Append(nil)), unix.UnixRights(fd, fd, fd), nil); err != nil {
		t.Fatal(err)
	}
	if k, b := answer(t, c); k != wire.Started {
		t.Fatalf("%q %q", k, b)
	}
	return c
}

// lateDescriptors passes a descriptor with a signal.
func lateDescriptors(t *testing.T, socket string, _ []byte) {
	c := began(t, socket)
	if _, _, err := c.WriteMsgUnix(wire.Frame(wire.Signal, []byte{byte(unix.SIGINT)}), unix.UnixRights(0), nil); err != nil {
		t.Fatal(err)
	}
	if k, _ := answer(t, c); k != 0 {
		t.Errorf("a descriptor with a signal: %q", k)
	}
}

// badSignals sends what is not in wire.Forwarded, and a second command.
func badSignals(t *testing.T, socket string, frame []byte) {
	for _, b := range [][]byte{
		wire.Frame(wire.Signal, []byte{0}), wire.Frame(wire.Signal, []byte{byte(unix.SIGKILL)}), wire.Frame(wire.Signal, []byte{200}),
		wire.Frame(wire.Signal, []byte{1, 2}), wire.Frame(wire.Signal, nil), wire.Frame(wire.Hello, nil), frame,
	} {
		c := began(t, socket)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if k, _ := answer(t, c); k != 0 {
			t.Errorf("% x: %q", b, k)
		}
	}
}

func TestNotRunning(t *testing.T) {
	s, socket := start(t)
	done := make(chan error, 1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		code, err := command.Run(context.Background(), socket, command.Request{Args: sh("echo ready; sleep 1001"), Env: []string{path}, Dir: "/", Stdout: w})
		if code != 125 {
			err = fmt.Errorf("code %d, %w", code, err)
		}
		done <- err
	}()
	line(t, r)
	if err := sandbox.Destroy(t.Context(), s.Env, s.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "the sandbox ended") {
		t.Errorf("destroyed under a command: %v", err)
	}
	code, err := command.Run(t.Context(), socket, command.Request{Args: []string{"true"}, Dir: "/"})
	if code != 125 || err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("%d %v", code, err)
	}
}

func TestTooLong(t *testing.T) {
	_, socket := start(t)
	for _, n := range []int{200 << 10, 5 << 20} { // one argument may take 128 KiB, see execve(2)
		code, out, err := run(t, socket, command.Request{Args: []string{"true", strings.Repeat("x", n)}})
		if code != 126 || err == nil {
			t.Errorf("%d bytes: %d %q %v", n, code, out, err)
		}
	}
	// Many arguments are fine.
	args := append([]string{"sh", "-c", "echo $#", "sh"}, slices.Repeat([]string{strings.Repeat("x", 100)}, 10000)...)
	if code, out, err := run(t, socket, command.Request{Args: args}); code != 0 || out != "10000\n" {
		t.Error(code, out, err)
	}
}

func BenchmarkRunTrue(b *testing.B) {
	_, socket := start(b)
	for _, c := range []struct {
		name   string
		limits resource.Rlimits
	}{{"direct", nil}, {"rlimits", resource.Rlimits{"core": {}}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				code, err := command.Run(b.Context(), socket, command.Request{Args: []string{"true"}, Env: []string{path}, Dir: "/", Rlimits: c.limits})
				if code != 0 || err != nil {
					b.Fatal(code, err)
				}
			}
		})
	}
}
