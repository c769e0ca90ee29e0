package story

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blast.example/blast/state"
)

// newOrphan leaves an environment behind whose project folder was removed while it was up.
func (s *scene) newOrphan(t *testing.T) *scene {
	t.Helper()
	project := newProject(t)
	o := &scene{bin: s.bin, project: project, env: state.NewEnv(project, "default", person, person)}
	o.must(t, "apply", "--auto-approve")
	o.must(t, "run", "--", "sh", "-c", "echo x >~/file; echo y >/workspace/file")
	until(t, "the folder is still there", func() bool {
		_ = os.RemoveAll(project)
		_, err := os.Lstat(project)
		return errors.Is(err, fs.ErrNotExist)
	})
	if out := s.must(t, "ps", "--all"); !strings.Contains(out, ", ORPHAN") || !strings.Contains(out, o.env.ID) { // what hid files may have ended it
		t.Fatalf("no orphan is there:\n%s", out)
	}
	return o
}

// ending destroys an orphan and, unless after is negative, kills the daemon that long after
// it was told to. It returns how long that took, and what the command said of it.
func (s *scene) ending(t *testing.T, o *scene, after time.Duration) (time.Duration, error) {
	t.Helper()
	cmd := s.command("destroy", "--id", o.env.ID, "--auto-approve")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for said.Scan() && !strings.HasPrefix(said.Text(), "Plan:") { // the last line before it begins
	}
	begun := time.Now()
	if after >= 0 {
		time.Sleep(after)
		s.killDaemon(t)
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	return time.Since(begun), err
}

// strikes is how often the end of an orphan is struck, evenly over the time that it takes.
const strikes = 6

func strike(i int, whole time.Duration) time.Duration {
	return (time.Duration(i)*whole + time.Duration(rand.Int64N(int64(whole)))) / strikes
}

// Killed at any moment as it ends an orphan: the next try ends it, and its neighbour
// hears nothing of it.
func TestKilledEndingAnOrphan(t *testing.T) {
	s := newScene(t)
	init := s.must(t, "run", "--", "cut", "-d ", "-f22", "/proc/1/stat")
	whole, err := s.ending(t, s.newOrphan(t), -1)
	if err != nil {
		t.Fatal(err)
	}
	died := 0
	for i := range strikes {
		o := s.newOrphan(t)
		if _, err := s.ending(t, o, strike(i, whole)); err != nil {
			died++
		}
		out := s.must(t, "ps", "--all")
		verb := []string{"destroy", "--orphans", "--auto-approve"}
		if strings.Contains(out, o.env.ID) {
			verb = []string{"destroy", "--id", o.env.ID, "--auto-approve"}
		}
		next := s.must(t, verb...)
		if left := o.left(t); len(left) > 0 {
			t.Fatalf("%d: left behind:\n%s\n%s\n%s", i, strings.Join(left, "\n"), out, next)
		}
		if now := s.must(t, "run", "--", "cut", "-d ", "-f22", "/proc/1/stat"); now != init {
			t.Fatalf("%d: the neighbour's sandbox is another", i)
		}
		if out := s.must(t, "plan"); !strings.Contains(out, "No changes") {
			t.Fatalf("%d: the neighbour is not what it was:\n%s", i, out)
		}
	}
	t.Logf("the end of an orphan takes %v; died in %d of %d", whole, died, strikes)
	if died == 0 {
		t.Error("never struck while it worked: the test shows nothing")
	}
}

// Where nothing else is up, the daemon after the killed one goes by itself, when the orphan
// has ended: whether a person had to ask for that once more, or it was all but done.
func TestDaemonGoesAfterAnOrphan(t *testing.T) {
	s := newScene(t)
	s.must(t, "destroy", "--auto-approve")
	whole, err := s.ending(t, s.newOrphan(t), -1)
	if err != nil {
		t.Fatal(err)
	}
	byItself := 0
	for i := range strikes / 2 {
		o := s.newOrphan(t)
		_, _ = s.ending(t, o, strike(strikes/2+i, whole))
		if out := s.must(t, "ps", "--all"); strings.Contains(out, o.env.ID) {
			s.must(t, "destroy", "--orphans", "--auto-approve")
		} else {
			byItself++
		}
		until(t, "the daemon stays", func() bool { return len(s.daemons()) == 0 })
		if left := o.left(t); len(left) > 0 {
			t.Fatalf("%d: left behind:\n%s", i, strings.Join(left, "\n"))
		}
		if left, err := filepath.Glob(state.RunRoot + "/[^b]*"); err != nil || len(left) > 0 { // what was blastd's it can't remove when it is killed
			t.Errorf("%d: left behind: %v, %v", i, left, err)
		}
	}
	t.Logf("%d of %d were ended without being asked for again", byItself, strikes/2)
}
