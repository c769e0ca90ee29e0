// Package story plays what people do with the command line, as scripts under
// testdata (testscript): the real programs on the real kernel, each in a project
// of its own, several at once beside one daemon.
package story

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/leftovers"
	"blast.example/blast/testfixtures/pypi"
)

// shutPassword is that of an index which lets only those in who have it.
const shutPassword = "open-sesame-of-the-story"

// person is on whose behalf blast acts, as under sudo.
const person = 1000

func TestStories(t *testing.T) {
	stories(t, func(p testscript.Params) {
		p.Dir = "testdata"
		testscript.Run(t, p)
	})
}

// Scripts run side by side. These end the daemon of everybody, so each runs alone.
func TestDaemonStories(t *testing.T) {
	stories(t, func(p testscript.Params) {
		files, err := filepath.Glob("testdata/daemon/*.txtar")
		if err != nil || len(files) == 0 {
			t.Fatalf("no script is there: %v", err)
		}
		for _, f := range files {
			p.Files = []string{f}
			t.Run("alone", func(t *testing.T) { testscript.Run(t, p) }) // it ends with its script
		}
	})
}

// stories has scripts run, and looks at what they leave.
func stories(t *testing.T, play func(testscript.Params)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	bin := programs(t)
	index, err := url.Parse(pypi.Serve(t, projects(t)))
	if err != nil {
		t.Fatal(err)
	}
	shut := pypi.ServeTo(t, projects(t), "ci", shutPassword)
	root, err := os.MkdirTemp("", "blast-story-") // not t.TempDir: the person must get through
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after all of the parallel scripts
		scripts, err := filepath.Glob(filepath.Join(root, "script-*"))
		if err != nil || len(scripts) == 0 {
			t.Errorf("no script ran: %v", err)
		}
		nothingLeft(t, scripts...)
	})
	play(testscript.Params{
		WorkdirRoot:         root,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SHUT_INDEX", strings.TrimSuffix(shut, "/")) // one that wants a password
			return setup(e, bin, index)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"blast":   blast,
			"end":     end, // kill is a word of testscript's own
			"owner":   owner,
			"set":     set,
			"nothing": nothing,
			"kernel":  kernel,
			"idof":    idof,
			"gone":    gone,
			"trace":   trace,

			"terraform": terraform,
		},
	})
}

// programs builds what a person has installed.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string]struct{ pkg, cgo string }{"blast": {"blast-front", "0"}, "blast-cli": {"blast", "0"}, "blast-init": {"blast-init", "0"}, "blastd": {"blastd", "1"}} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "seccomp", "-o", filepath.Join(dir, name), "blast.example/blast/cmd/"+b.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

// setup gives a script a project, which belongs to the person.
func setup(e *testscript.Env, bin string, index *url.URL) error {
	project := e.WorkDir
	id := state.NewEnv(project, "default", person, person)
	e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	e.Setenv("SUDO_UID", strconv.Itoa(person))
	e.Setenv("SUDO_GID", strconv.Itoa(person))
	e.Setenv("LANG", "C.UTF-8")
	e.Setenv("RUN", id.Run)
	e.Setenv("INDEX", strings.TrimSuffix(index.String(), "/"))
	e.Setenv("INDEX_PORT", index.Port())
	e.Setenv("ID", id.ID)
	e.Setenv("TRUST", project+".trust") // where no sandbox writes
	e.Setenv("OUTSIDE", filepath.Dir(project))
	e.Defer(func() {
		cmd := exec.Command(filepath.Join(bin, "blast"), "-C", project, "destroy", "--auto-approve") //nolint:noctx // whatever became of the script
		cmd.Env = e.Vars
		if out, err := cmd.CombinedOutput(); err != nil {
			e.T().Log(fmt.Sprintf("clean up: %v\n%s", err, out))
		}
		sweep(e, bin)
	})
	return filepath.WalkDir(project, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, person, person))
	})
}

// projects is an index with little in it: greet needs words of its own version,
// and clash the old ones.
func projects(t *testing.T) *pypi.Index {
	t.Helper()
	x := pypi.New()
	wheels := []pypi.Wheel{{Name: "clash", Version: "1.0", Requires: []string{"words<2"}, Files: map[string]string{"clash.py": ""}}}
	for _, v := range []string{"1.0", "2.0"} {
		wheels = append(wheels,
			pypi.Wheel{Name: "words", Version: v, Files: map[string]string{"words.py": "version = " + strconv.Quote(v) + "\n"}},
			pypi.Wheel{
				Name: "greet", Version: v, Requires: []string{"words==" + v}, Scripts: map[string]string{"greet": "greet:main"},
				Files: map[string]string{"greet/__init__.py": "import words\n\n\ndef main():\n    print('hello from words', words.version)\n"},
			})
	}
	for _, w := range wheels {
		if err := x.Add(w); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// blast [-N] ARGS runs blast, which must exit with N; 0 if not given.
func blast(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("write blast -N for an exit with N")
	}
	want := 0
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		n, err := strconv.Atoi(args[0][1:])
		if err == nil {
			want, args = n, args[1:]
		}
	}
	err := ts.Exec("blast", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("blast %s: %v", strings.Join(args, " "), err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("blast %s: exit %d, want %d", strings.Join(args, " "), got, want)
	}
}

// end sandbox ends the script's sandbox by force; end daemon ends blastd.
func end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: end sandbox|daemon")
	}
	lines, err := leftovers.Find()
	ts.Check(err)
	for _, l := range lines {
		var pid int
		if n, _ := fmt.Sscanf(l, "process %d", &pid); n != 1 {
			continue
		}
		if args[0] == "sandbox" && strings.Contains(l, "blast-init in /blast/"+ts.Getenv("ID")) || args[0] == "daemon" && strings.HasSuffix(l, " blastd") {
			ts.Check(syscall.Kill(pid, syscall.SIGKILL))
			for deadline := time.Now().Add(10 * time.Second); alive(pid); {
				if time.Now().After(deadline) {
					ts.Fatalf("%s does not end", l)
				}
				time.Sleep(time.Millisecond)
			}
			return
		}
	}
	ts.Fatalf("no %s runs", args[0])
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// owner FILE UID says to whom a file must belong.
func owner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: owner FILE UID")
	}
	var st syscall.Stat_t
	ts.Check(syscall.Lstat(ts.MkAbs(args[0]), &st))
	if got := strconv.Itoa(int(st.Uid)); got != args[1] || st.Uid != st.Gid {
		ts.Fatalf("%s belongs to %d:%d, want %s", args[0], st.Uid, st.Gid, args[1])
	}
}

// set FILE OLD NEW replaces text, as an editor does.
func set(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: set FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	old, text := strings.ReplaceAll(args[1], `\n`, "\n"), strings.ReplaceAll(args[2], `\n`, "\n")
	if !strings.Contains(string(b), old) {
		ts.Fatalf("%s has no %q", args[0], old)
	}
	ts.Check(os.WriteFile(name, []byte(strings.Replace(string(b), old, text, 1)), 0o644))
}

// nothing: no trace of the script's environment is on the host.
func nothing(ts *testscript.TestScript, _ bool, _ []string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		lines, err := leftovers.Find(ts.Getenv("WORK"))
		ts.Check(err)
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return !strings.Contains(l, ts.Getenv("ID")) && !strings.Contains(l, ts.Getenv("WORK"))
		})
		if len(lines) == 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("left behind:\n%s", strings.Join(lines, "\n"))
		}
	}
}

// kernel CGROUP-FILE prints a limit of the environment as the kernel has it;
// kernel CGROUP-FILE VALUE changes it by hand. Both cgroup versions are looked at.
func kernel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: kernel FILE [VALUE]")
	}
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/blast/", "/sys/fs/cgroup/*/blast/"} {
		m, err := filepath.Glob(pattern + ts.Getenv("ID") + "/" + args[0])
		ts.Check(err)
		found = append(found, m...)
	}
	if len(found) != 1 {
		ts.Fatalf("%s is in %q", args[0], found)
	}
	if len(args) == 2 {
		ts.Check(os.WriteFile(found[0], []byte(args[1]), 0))
		return
	}
	b, err := os.ReadFile(found[0])
	ts.Check(err)
	_, err = ts.Stdout().Write(b)
	ts.Check(err)
}

// nothingLeft waits for the daemon to go, which it does when nothing is up.
func nothingLeft(t *testing.T, projects ...string) {
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		lines, err := leftovers.Find(projects...)
		if err != nil {
			t.Error(err)
			return
		}
		if len(lines) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind:\n%s", strings.Join(lines, "\n"))
			return
		}
	}
}
