// Package whole is all of Blast, built from this source, for tests that call it as a
// person does: with real sandboxes, and a daemon of the test's own.
package whole

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/alone"
)

// programs are what make build builds: name to package, and whether it needs cgo.
var programs = map[string]program{
	"blast": {"cmd/blast-front", "0"}, "blast-cli": {"cmd/blast", "0"}, "blast-init": {"cmd/blast-init", "0"}, "blastd": {"cmd/blastd", "1"},
}

type program struct{ pkg, cgo string }

// Prebuilt names a folder that has all programs already, for machines without a compiler.
const Prebuilt = "BLAST_PREBUILT"

// A Blast is one build of all programs.
type Blast struct {
	Bin string // folder of the programs
	t   testing.TB
}

// New builds Blast, and more programs without cgo (name to package), and keeps other tests from
// having a daemon until t ends. The caller has a mount namespace of its own (netlab.Main) and is root: /run is
// made empty, as another daemon's is not this one's.
func New(t testing.TB, more map[string]string) *Blast {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t)
	b := &Blast{Bin: os.Getenv(Prebuilt), t: t}
	if b.Bin == "" {
		b.Bin = t.TempDir()
	}
	t.Cleanup(b.End) // before another test has the machine
	if err := errors.Join(unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), b.build(more)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Blast) build(more map[string]string) error {
	if os.Getenv(Prebuilt) != "" {
		return nil
	}
	var wg sync.WaitGroup
	failed := make(chan error, len(programs)+len(more))
	build := func(name string, p program) {
		cmd := exec.CommandContext(b.t.Context(), "go", "build", "-tags", "seccomp", "-o", filepath.Join(b.Bin, name), "blast.example/blast/"+p.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+p.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			failed <- fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	for name, p := range programs {
		wg.Go(func() { build(name, p) })
	}
	for name, pkg := range more {
		wg.Go(func() { build(name, program{pkg, "0"}) })
	}
	wg.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Command calls blast in a project. It has no deadline: clean-ups run, too.
func (b *Blast) Command(project string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.Bin, "blast"), args...) //nolint:noctx // see above
	cmd.Dir = project
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "PATH="+b.Bin+":"+os.Getenv("PATH"))
	return cmd
}

// Daemon is the pid of this build's blastd; 0 is none.
func (b *Blast) Daemon() int {
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0
	}
	for _, exe := range exes {
		to, err := os.Readlink(exe)
		if err != nil || strings.TrimSuffix(to, " (deleted)") != filepath.Join(b.Bin, "blastd") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(exe, "/")[2]); err == nil {
			return pid
		}
	}
	return 0
}

// End ends blastd, which would stay for some seconds, and waits until it is gone.
func (b *Blast) End() {
	pid := b.Daemon()
	if pid == 0 {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(10 * time.Second); b.Daemon() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Errorf("blastd (%d) does not end", pid)
			return
		}
	}
}
