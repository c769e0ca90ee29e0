package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/leftovers"
	"blast.example/blast/testfixtures/pypi"
)

// sandbox is a project of Blast's, with an index that gives a package every 0.1 s.
type sandbox struct {
	program
	env0  state.Env
	index *pypi.Index
	serve *pypi.Server
	disk  *disk
}

// Each item is a line of its own; the rest is what a sandbox needs around them.
const blastConfig = `python {
  index = ["INDEX"]
}

network {
  egress "index" {
    cidrs  = ["127.0.0.1/32"]
    ports  = [PORT]
    during = ["apply"]
  }
}

filesystem {
  workspace {
    source = "."
  }
}

resource {
  pids {
    max = 64
  }
}
`

const blastEnd = `^Apply complete|^No changes|nothing changed|^blast:|^(state|configuration|variable|lock|host): `

var blastApply = []string{"apply", "--auto-approve"}

func wheelPath(i int, rev string) string {
	return "/files/" + pypi.Wheel{Name: item(i), Version: rev}.Filename()
}

// breakItem makes the index give other bytes for a package than it promised.
func (s *sandbox) breakItem(i int, rev string) {
	s.index.Break(wheelPath(i, rev), pypi.Fault{Tamper: true})
}

func item(i int) string { return fmt.Sprintf("item%03d", i) }

func newSandbox(bin, dir string, d *disk) (*sandbox, error) {
	project := filepath.Join(dir, "project")
	if d != nil {
		project = filepath.Join(d.path, "project")
	}
	s := &sandbox{program: program{&journal{}, filepath.Join(bin, "blast"), project, nil}, env0: state.NewEnv(project, "default", 0, 0), index: pypi.New(), disk: d}
	cache := filepath.Join(dir, "cache")
	if err := errors.Join(os.Mkdir(project, 0o755), os.Mkdir(cache, 0o700)); err != nil {
		return nil, err
	}
	s.env = []string{"HOME=" + dir, "XDG_CACHE_HOME=" + cache, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	for i := range items {
		for _, rev := range []string{"1", "2"} {
			w := pypi.Wheel{Name: item(i), Version: rev, Files: map[string]string{item(i) + ".py": "rev = " + rev + "\n"}}
			if err := s.index.Add(w); err != nil {
				return nil, err
			}
		}
	}
	s.pace(100 * time.Millisecond)
	var err error
	if s.serve, err = pypi.Start("127.0.0.1:0", s.index); err != nil {
		return nil, err
	}
	return s, s.write("1", blastConfig)
}

// write writes a blast.hcl with the packages of one revision.
func (s *sandbox) write(rev, config string) error {
	u, err := url.Parse(s.serve.URL)
	if err != nil {
		return err
	}
	text := strings.NewReplacer("INDEX", s.serve.URL, "PORT", u.Port()).Replace(config)
	for i := range items {
		text += fmt.Sprintf("\npackage %q {\n  version = \"== %s\"\n}\n", item(i), rev)
	}
	return os.WriteFile(filepath.Join(s.dir, "blast.hcl"), []byte(text), 0o644)
}

// fetched counts the packages that were downloaded.
func (s *sandbox) fetched() int {
	n := 0
	for _, r := range s.index.Requests() {
		if strings.HasSuffix(r.Path, ".whl") {
			n++
		}
	}
	return n
}

// made counts the packages that a command in the sandbox would find, or those of one
// revision.
func (s *sandbox) made(rev string) int {
	files, _ := filepath.Glob(filepath.Join(s.dir, ".blast/default/packages/current/lib/python*/site-packages/item*.py"))
	n := 0
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if rev == "" || string(b) == "rev = "+rev+"\n" {
			n++
		}
	}
	return n
}

// things are what Blast has on the host for this project, found without asking it:
// processes, cgroups, mounts, files; the packages are counted apart.
func (s *sandbox) things() int { return len(s.found()) }

func (s *sandbox) found() []string {
	lines, err := leftovers.Find(s.dir)
	if err != nil {
		return []string{err.Error()}
	}
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasSuffix(l, " blastd") || strings.Contains(l, "/.blast/default/packages/") || strings.HasSuffix(l, "/denied.ndjson") || l == "file "+state.RunRoot || strings.Contains(l, state.RunRoot+"/blastd.") || strings.HasPrefix(l, "cgroup ") && strings.HasSuffix(l, "/blast")
	})
}

func (s *sandbox) recorded() string {
	st, err := s.env0.Load()
	switch {
	case err != nil:
		return "state unreadable: " + err.Error()
	case st.Serial == 0:
		return "nothing recorded"
	}
	return fmt.Sprintf("generation %d recorded", st.Serial)
}

// sum notes what is there, and what is recorded.
func (s *sandbox) sum(when, rev string) {
	what := fmt.Sprintf("%d of %d packages", s.made(rev), items)
	if rev > "1" {
		what += fmt.Sprintf(" are new, %d as before", s.made("1"))
	}
	words := fmt.Sprintf("%s; %s; %d things on the host", what, s.recorded(), s.things())
	s.note("%s", words)
	s.saw("%s: %s", when, words)
}

// half starts an apply and returns when half of the packages are fetched.
func (s *sandbox) half() (*running, error) { return s.reach(items / 2) }

func (s *sandbox) reach(n int) (*running, error) {
	before := s.fetched()
	x, err := s.start(blastApply...)
	if err != nil {
		return nil, err
	}
	if err := until("so many packages", func() bool { return s.fetched()-before >= n || x.over() }); err != nil {
		return nil, err
	}
	s.note("%d packages are fetched", n)
	return x, nil
}

// pace is how long the index takes for each package from now on.
func (s *sandbox) pace(each time.Duration) {
	for i := range items {
		for _, rev := range []string{"1", "2"} {
			s.index.Break(wheelPath(i, rev), pypi.Fault{Delay: each})
		}
	}
}

// next notes what a plan and an apply make of what is there.
func (s *sandbox) next(rev string) {
	p := s.run(planLine, "plan")
	s.sum("next `plan`: "+p.exit+", "+p.said(planLine), rev)
	a := s.run(blastEnd, blastApply...)
	s.sum("next `apply`: "+a.exit, rev)
}

// daemons are the pids of running daemons; one that isn't ours is an error.
func (s *sandbox) daemons() ([]int, error) {
	lines, err := leftovers.Find()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, l := range lines {
		var pid int
		if n, _ := fmt.Sscanf(l, "process %d blastd", &pid); n != 1 || !strings.HasSuffix(l, " blastd") {
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || filepath.Base(exe) != "blastd" {
			continue // it ended, or is a child that became another program while we looked
		}
		if exe != filepath.Join(filepath.Dir(s.path), "blastd") {
			return nil, fmt.Errorf("a daemon that is not ours runs: %s (%s)", l, exe)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// killDaemon ends the process that applies, and waits until it is gone.
func (s *sandbox) killDaemon() error {
	pids, err := s.daemons()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return until("the end of blastd", func() bool {
		left, err := s.daemons()
		return err == nil && len(left) == 0
	})
}

// close takes the sandbox away, and all that belongs to it.
func (s *sandbox) close() error {
	err := errors.Join(s.quiet(), s.must("destroy", "--auto-approve"))
	if err == nil {
		if left := s.found(); len(left) > 0 {
			err = fmt.Errorf("left after the destroy: %v", left)
		}
	}
	return errors.Join(err, s.killDaemon(), s.serve.Close())
}
