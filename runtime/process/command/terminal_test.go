//go:build linux

package command_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY makes a person's terminal.
func openPTY(t testing.TB) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "ptmx"), slave
}

// A person sits at a terminal at which a client runs.
type person struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd

	mu   sync.Mutex
	seen bytes.Buffer
}

// sit starts a client on a terminal of its own. change may alter its files.
func sit(t *testing.T, socket string, change func(*exec.Cmd), args ...string) *person {
	t.Helper()
	p := &person{t: t}
	p.master, p.slave = openPTY(t)
	p.resize(24, 80)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, args...)
	p.cmd.Env = append(os.Environ(), asClient+"="+socket)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.slave, p.slave, p.slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if change != nil {
		change(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := p.master.Read(b)
			p.mu.Lock()
			p.seen.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.slave.Close()
		_ = p.master.Close()
	})
	return p
}

func (p *person) resize(rows, cols uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// expect waits until the screen shows text.
func (p *person) expect(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !strings.Contains(p.screen(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("no %q on the screen: %q", text, p.screen())
		}
	}
}

func (p *person) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) modes() unix.Termios {
	p.t.Helper()
	tio, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *tio
}

func TestTerminal(t *testing.T) {
	_, socket := start(t)
	before := unix.Termios{}
	p := sit(t, socket, nil, sh("tty; stty size; echo ready; read x; echo read:$x; trap 'stty size; exit 9' WINCH; echo again; while :; do sleep 0.05; done")...)
	p.expect("ready")
	if got := p.screen(); !strings.Contains(got, "/dev/pts/0") || !strings.Contains(got, "24 80") {
		t.Errorf("the command's terminal: %q", got)
	}
	await(t, "raw mode", func() bool { return p.modes().Lflag&unix.ICANON == 0 })
	p.press("hello\r")
	p.expect("read:hello")
	if n := strings.Count(p.screen(), "hello"); n != 2 { // echoed once, by the command's terminal
		t.Errorf("%d times hello: %q", n, p.screen())
	}
	p.expect("again")
	p.resize(50, 132)
	p.expect("50 132")
	if code := exitCode(p.cmd); code != 9 {
		t.Errorf("exit code %d", code)
	}
	before = p.modes()
	if before.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != unix.ICANON|unix.ECHO|unix.ISIG || before.Oflag&unix.OPOST == 0 {
		t.Errorf("the terminal was not restored: %+v", before)
	}
}

// The keys of signals work in the command's terminal.
func TestTerminalKeys(t *testing.T) {
	_, socket := start(t)
	for key, code := range map[string]int{"\x03": 128 + 2, "\x1c": 128 + 3} {
		p := sit(t, socket, nil, sh("echo ready; exec sleep 60")...)
		p.expect("ready")
		p.press(key)
		if got := exitCode(p.cmd); got != code {
			t.Errorf("%q: %d, want %d", key, got, code)
		}
	}
	p := sit(t, socket, nil, sh("echo ready; exec cat")...)
	p.expect("ready")
	p.press("one\r\x04")
	p.expect("one\r\none\r\n")
	if code := exitCode(p.cmd); code != 0 {
		t.Errorf("end of file: %d", code)
	}
}

// A shell has job control: it has a controlling terminal.
func TestInteractiveShell(t *testing.T) {
	s, socket := start(t)
	p := sit(t, socket, nil, "bash", "--norc", "-i")
	p.press("echo $((6*7))\r")
	p.expect("\n42\r\n")
	p.press("sleep 1001\r")
	await(t, "the job", func() bool { return len(sleepers(t, s)) == 1 })
	p.press("\x1a")
	p.expect("Stopped")
	// A shell that kills a stopped job may still hold it for stopped, and then doesn't exit.
	// One that has it in front again gets its end told.
	job := sleepers(t, s)[0]
	p.press("fg\r")
	await(t, "the job to go on", func() bool { return stateOf(job) != "T" })
	p.press("\x03")
	await(t, "the job's end", func() bool { return len(sleepers(t, s)) == 0 })
	p.press("exit 3\r")
	if code := exitCode(p.cmd); code != 3 {
		t.Errorf("%d %q", code, p.screen())
	}
	if strings.Contains(p.screen(), "no job control") {
		t.Error(p.screen())
	}
}

// All of the output arrives, in order, before the client ends.
func TestTerminalOutputIsWhole(t *testing.T) {
	_, socket := start(t)
	for range 5 {
		p := sit(t, socket, nil, "seq", "20000")
		if code := exitCode(p.cmd); code != 0 {
			t.Fatal(code)
		}
		p.expect("\n20000\r\n")
		if n := strings.Count(p.screen(), "\n"); n != 20000 {
			t.Fatalf("%d lines", n)
		}
	}
}

// What a terminal's command leaves behind doesn't keep the client waiting.
func TestTerminalKeptOpen(t *testing.T) {
	_, socket := start(t)
	p := sit(t, socket, nil, sh("(trap '' HUP; sleep 1001) & echo started")...)
	began := time.Now()
	if code := exitCode(p.cmd); code != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("%d after %v", code, time.Since(began))
	}
	p.expect("started")
}

// Only what is a terminal becomes one: the rest is passed as it is.
func TestTerminalBesidePipes(t *testing.T) {
	_, socket := start(t)
	const test = "for i in 0 1 2; do test -t $i && echo $i is one >&2; done; exit 0"
	for _, c := range []struct {
		change func(*exec.Cmd)
		want   []string
	}{
		{nil, []string{"0", "1", "2"}},
		{func(c *exec.Cmd) { c.Stdin, c.SysProcAttr.Ctty = nil, 1 }, []string{"1", "2"}},
		{func(c *exec.Cmd) { c.Stdout = nil }, []string{"0", "2"}},
	} {
		p := sit(t, socket, c.change, sh(test)...)
		if code := exitCode(p.cmd); code != 0 {
			t.Errorf("%d %q", code, p.screen())
		}
		for _, i := range []string{"0", "1", "2"} {
			want := strings.Contains(strings.Join(c.want, ""), i)
			if want {
				p.expect(i + " is one")
			} else if strings.Contains(p.screen(), i+" is one") {
				t.Errorf("%s is a terminal: %q", i, p.screen())
			}
		}
	}
}

// With the output in a pipe, the person's terminal stays as it is: its keys come
// as signals, lines are edited and echoed by it, once.
func TestTerminalOnlyForInput(t *testing.T) {
	_, socket := start(t)
	p := sit(t, socket, func(c *exec.Cmd) { c.Stdout = nil }, sh("echo ready >&2; cat >&2; echo end >&2; exec sleep 60")...)
	p.expect("ready")
	if p.modes().Lflag&unix.ICANON == 0 {
		t.Error("the terminal is raw")
	}
	p.press("line\n")
	p.expect("line\r\nline\r\n")
	p.press("\x04")
	p.expect("end")
	if n := strings.Count(p.screen(), "line"); n != 2 {
		t.Errorf("%d times: %q", n, p.screen())
	}
	p.press("\x03")
	if code := exitCode(p.cmd); code != 128+2 {
		t.Errorf("exit code %d", code)
	}
}

// If the person's terminal goes away, so does the command.
func TestTerminalHangUp(t *testing.T) {
	s, socket := start(t)
	p := sit(t, socket, nil, sh("echo ready; exec sleep 1001")...)
	p.expect("ready")
	_ = p.slave.Close()
	_ = p.master.Close()
	_ = p.cmd.Wait()
	await(t, "the command's end", func() bool { return len(processes(t, s)) == 1 })
}

// The command can't reach the person's terminal: neither by a descriptor nor as
// its controlling terminal, and typing on its own is refused (TIOCSTI).
func TestTerminalIsTheSandboxsOwn(t *testing.T) {
	_, socket := start(t)
	p := sit(t, socket, nil, "python3", "-c", `
import fcntl, os, termios
print("device", os.stat("/dev/pts/0").st_rdev == os.fstat(0).st_rdev, os.listdir("/dev/pts"))
for fd in (0, os.open("/dev/tty", os.O_RDWR)):
    try:
        fcntl.ioctl(fd, termios.TIOCSTI, b"x")
        print("typed")
    except PermissionError:
        print("refused")
`)
	if code := exitCode(p.cmd); code != 0 {
		t.Errorf("%d %q", code, p.screen())
	}
	p.expect("refused")
	if got := p.screen(); !strings.Contains(got, "device True") || strings.Contains(got, "typed") || strings.Count(got, "refused") != 2 {
		t.Errorf("%q", got)
	}
}
