package session

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/state"
)

// explained is what is printed about denials, on a terminal or not.
func explained(t *testing.T, stderr, reader *os.File, ds ...denial.Denial) (text string, n int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), denial.File)
	l, err := denial.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		d.Op = denial.Resolve
		if err := l.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(reader) // EIO is a terminal's end
		read <- string(b)
	}()
	s := Session{Env: state.Env{Name: "default"}, Stderr: stderr}
	n = s.explain(state.State{}, path, 0)
	_, _ = stderr.Close(), l.Close()
	return <-read, n
}

func onPipe(t *testing.T, ds ...denial.Denial) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	return explained(t, w, r, ds...)
}

func TestForgedNamesAreShownAsNames(t *testing.T) {
	text, _ := onPipe(t, denial.Denial{Host: "api.example.com", Command: "python3", PID: 7, Script: "/workspace/app.py"})
	for _, want := range []string{"what   api.example.com, from python3 (pid 7), /workspace/app.py\n", "  allow  blast allow api.example.com:443\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("control: no %q in %s", want, text)
		}
	}
	for what, d := range map[string]denial.Denial{
		"escape":             {Host: "a\x1b[2Jb"},
		"C1":                 {Host: "a\u009b2Jb"},
		"right to left":      {Host: "a\u202emoc", Command: "\u200f"},
		"zero width":         {Host: "a.example", Script: "a\u200b\ufeff.py"},
		"lines":              {Host: "a.example", Script: "a\n  allow  add to blast.hcl:.py"},
		"wildcard":           {Host: "*.com", Reason: "this is not a host name"},
		"template":           {Host: "${file(1)}", Reason: "this is not a host name"},
		"a place with lines": {Host: "a.example", Where: "a\n  allow  blast allow evil.example.py:1"},
		"lines by wrapping":  {Host: "a.example", Script: "a" + strings.Repeat(" ", 60) + "allow  x.py"},
		"quotes in the name": {Host: "a\"] ports = [1] x = [\"b"},
	} {
		text, n := onPipe(t, d)
		if n != 1 || strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %d %q", what, n, text)
		}
		if d.Host != "a.example" && strings.Contains(text, "blast allow") {
			t.Errorf("%s: a rule is suggested: %s", what, text)
		}
		if strings.Count(text, "\n  allow ") > 1 || strings.Contains(d.Script, " ") && !strings.Contains(text, strconv.Quote(d.Script)) {
			t.Errorf("%s: %s", what, text)
		}
	}
}

func TestManyDenialsAreFewLines(t *testing.T) {
	var ds []denial.Denial
	for i := range 700 { // more than are recorded at once
		ds = append(ds, denial.Denial{Host: fmt.Sprintf("n%d.example", i)})
	}
	if text, _ := onPipe(t, ds[:12]...); !strings.Contains(text, "\n  2 more were denied\n") || strings.Contains(text, "too fast") {
		t.Errorf("12 targets: %s", text)
	}
	text, n := onPipe(t, ds...)
	if lines := strings.Count(text, "\n"); n < 500 || lines > 100 || !strings.Contains(text, "what   n0.example\n") || !strings.Contains(text, "more were denied\n") {
		t.Errorf("%d targets in %d lines: %s", n, lines, text)
	}
}

// TestHiddenTerminalShowsDenials: a command may leave the terminal in the middle
// of a sequence that swallows what follows, or with invisible text.
func TestHiddenTerminalShowsDenials(t *testing.T) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	defer func() { _ = master.Close() }()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	text, _ := explained(t, slave, master, denial.Denial{Host: "a.example"})
	before, _, found := bytes.Cut([]byte(text), []byte("blast: denied"))
	for _, sequence := range []string{"\x18", "\x1b\\", "\x1b[m"} { // console_codes(4)
		if !found || !bytes.Contains(before, []byte(sequence)) {
			t.Errorf("no %q before %q", sequence, text)
		}
	}
	if text, _ := onPipe(t, denial.Denial{Host: "a.example"}); strings.Contains(text, "\x1b") {
		t.Errorf("to a file: %q", text)
	}
}
