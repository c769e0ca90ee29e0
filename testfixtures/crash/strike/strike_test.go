package strike_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/crash/strike"
)

// The program that is struck is this one.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STRIKE_WORK"); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// victim makes some folders and files when a line comes in, from two threads in turns,
// and says how each went.
func victim(dir string) {
	in := bufio.NewScanner(os.Stdin)
	var threads [2]chan func()
	for i := range threads {
		threads[i] = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range threads[i] {
				f()
			}
		}()
	}
	done := make(chan struct{})
	_ = exec.Command("true").Run() // the first time os/exec tries out what the kernel can
	fmt.Println("ready")
	for in.Scan() {
		for i, work := range works(dir) {
			threads[i%2] <- func() {
				err := work.do()
				fmt.Printf("%s: %v\n", work.name, err)
				done <- struct{}{}
			}
			<-done
		}
		fmt.Println("done")
	}
}

type work struct {
	name string
	do   func() error
}

func works(dir string) []work {
	path := func(name string) string { return filepath.Join(dir, name) }
	return []work{
		{"make folder", func() error { return unix.Mkdirat(unix.AT_FDCWD, path("folder"), 0o700) }},
		{"write file", func() error { return os.WriteFile(path("new"), []byte("text"), 0o600) }},
		{"read file", func() error { _, err := os.ReadFile(path("new")); return err }},
		{"rename file", func() error { return unix.Renameat(unix.AT_FDCWD, path("new"), unix.AT_FDCWD, path("file")) }},
		{"run child", func() error { return exec.Command("touch", path("child")).Run() }},
		{"write to pipe", func() error { _, err := fmt.Fprintln(os.Stderr, "hello"); return err }},
		{"remove folder", func() error { return unix.Unlinkat(unix.AT_FDCWD, path("folder"), unix.AT_REMOVEDIR) }},
	}
}

// all is what the victim changes, in order.
func all(dir string) []string {
	p := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"1: mkdirat(" + p("folder") + ")",
		"2: openat(" + p("new") + ")",
		"3: write(" + p("new") + ")",
		"4: renameat(" + p("new") + " -> " + p("file") + ")",
		"5: clone()",
		"6: unlinkat(" + p("folder") + ")",
	}
}

// A scene is the victim, which a shell has started: whose child it is hears of its end.
type scene struct {
	dir string
	pid int
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir()}
	s.cmd = exec.CommandContext(t.Context(), "sh", "-c", `exec 3<&0; "$0" <&3 & echo $!; wait $!; echo ended $?`, os.Args[0])
	s.cmd.Env = append(os.Environ(), "STRIKE_WORK="+s.dir)
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _, _ = io.Copy(io.Discard, out); _ = s.cmd.Wait() })
	s.pid, err = strconv.Atoi(s.line())
	if err != nil {
		t.Fatal(err)
	}
	if l := s.line(); l != "ready" {
		t.Fatalf("the victim says %q", l)
	}
	return s
}

func (s *scene) line() string {
	s.out.Scan()
	return s.out.Text()
}

// play has the victim work, and returns what it says until it is done or ends.
func (s *scene) play(t *testing.T) []string {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, "go"); err != nil {
		t.Fatal(err)
	}
	var said []string
	for s.out.Scan() {
		l := s.out.Text()
		said = append(said, l)
		if l == "done" || strings.HasPrefix(l, "ended") {
			return said
		}
	}
	t.Fatalf("the victim fell silent after %q", said)
	return nil
}

func (s *scene) seize(t *testing.T, b strike.Blow) *strike.Trace {
	t.Helper()
	tr, err := strike.Seize(s.pid, b)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (s *scene) has(name string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, name))
	return err == nil
}

func letGo(t *testing.T, tr *strike.Trace) []string {
	t.Helper()
	calls, err := tr.LetGo()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range calls {
		out = append(out, c.String())
	}
	return out
}

// Calls are counted over all threads, each once, and in every run the same.
func TestCounts(t *testing.T) {
	s := newScene(t)
	for range 3 {
		tr := s.seize(t, strike.Blow{})
		if said := s.play(t); len(said) != 8 || slices.ContainsFunc(said, func(l string) bool { return l != "done" && !strings.HasSuffix(l, ": <nil>") }) {
			t.Fatalf("traced, it says %q", said)
		}
		if got, want := letGo(t, tr), all(s.dir); !slices.Equal(got, want) {
			t.Errorf("calls:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if b, _ := os.ReadFile(filepath.Join(s.dir, "file")); string(b) != "text" || !s.has("child") {
			t.Errorf("traced, it does other things: %q", b)
		}
		if said := s.play(t); said[len(said)-1] != "done" {
			t.Fatalf("let go, it says %q", said)
		}
	}
}

// A process that is killed before a call has not made it, and one killed after it has.
func TestDies(t *testing.T) {
	for _, c := range []struct {
		at     int
		deed   strike.Deed
		has    []string
		hasNot []string
	}{
		{1, strike.DieBefore, nil, []string{"folder", "new"}},
		{1, strike.DieAfter, []string{"folder"}, []string{"new"}},
		{2, strike.DieBefore, []string{"folder"}, []string{"new"}},
		{2, strike.DieAfter, []string{"folder", "new"}, []string{"file"}},
		{4, strike.DieBefore, []string{"folder", "new"}, []string{"file"}},
		{4, strike.DieAfter, []string{"folder", "file"}, []string{"new"}},
		{6, strike.DieBefore, []string{"folder", "file", "child"}, nil},
		{6, strike.DieAfter, []string{"file", "child"}, []string{"folder"}},
	} {
		t.Run(fmt.Sprint(c.at, c.deed), func(t *testing.T) {
			s := newScene(t)
			tr := s.seize(t, strike.Blow{At: c.at, Deed: c.deed})
			if said := s.play(t); said[len(said)-1] != "ended 137" {
				t.Fatalf("it says %q", said)
			}
			calls, err := tr.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if last := calls[len(calls)-1]; last.N != c.at || last.Done != (c.deed == strike.DieAfter) {
				t.Errorf("calls: %v", calls)
			}
			for _, name := range c.has {
				if !s.has(name) {
					t.Errorf("%s is not there", name)
				}
			}
			for _, name := range c.hasNot {
				if s.has(name) {
					t.Errorf("%s is there", name)
				}
			}
		})
	}
}

// A call that fails by our will does nothing and says what we say; the next one that
// matches works again, or doesn't.
func TestFails(t *testing.T) {
	for _, deed := range []strike.Deed{strike.Fail, strike.FailOn} {
		s := newScene(t)
		var met []string
		tr := s.seize(t, strike.Blow{
			Of: func(c strike.Call) bool { return strings.HasSuffix(c.Path, "/folder") }, At: 1, Deed: deed, Errno: unix.ENOSPC,
			Meanwhile: func(c strike.Call) {
				met = append(met, c.Name)
				if err := exec.Command("touch", filepath.Join(s.dir, "meanwhile"+c.Name)).Run(); err != nil {
					t.Error(err)
				}
			},
		})
		said := s.play(t)
		calls := letGo(t, tr)
		if said[0] != "make folder: no space left on device" || !strings.HasSuffix(calls[0], "no space left on device") {
			t.Errorf("%v: it says %q, seen %q", deed, said, calls)
		}
		met2, last := []string{"mkdirat"}, "remove folder: no such file or directory"
		if deed == strike.FailOn {
			met2, last = []string{"mkdirat", "unlinkat"}, "remove folder: no space left on device"
		}
		if !slices.Equal(met, met2) || said[6] != last || !s.has("meanwhilemkdirat") {
			t.Errorf("%v: struck %v, it says %q", deed, met, said)
		}
		if said := s.play(t); said[0] != "make folder: <nil>" {
			t.Errorf("let go, it says %q", said)
		}
	}
}

// Who stopped a process finds it stopped, traced or not, and it goes on when told.
func TestStopsLikeAnyOther(t *testing.T) {
	s := newScene(t)
	tr := s.seize(t, strike.Blow{})
	if err := unix.Kill(s.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(s.pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.play(t)
	if got := letGo(t, tr); len(got) != 6 {
		t.Errorf("calls: %q", got)
	}
	s.play(t)
}

func TestNobodyThere(t *testing.T) {
	if _, err := strike.Seize(1<<22, strike.Blow{}); err == nil {
		t.Error("seized a process that can't be")
	}
}
