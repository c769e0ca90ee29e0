package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"blast.example/blast/testfixtures/leftovers"
)

// person is whom blast acts for, as under sudo.
const person = 1000

// stage is the example project, copied to where it can be changed.
type stage struct {
	ctx     context.Context
	bin     string // folder of the programs
	dir     string
	project string
}

func newStage(ctx context.Context, ca []byte) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "blast-demo-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	s := &stage{ctx: ctx, bin: filepath.Dir(self), dir: dir, project: filepath.Join(dir, "shop")}
	if err := os.CopyFS(s.project, os.DirFS(filepath.Join(s.bin, "..", "testfixtures", "shop"))); err != nil {
		return nil, fmt.Errorf("copy the example (run the demo from bin/ of the repository): %w", err)
	}
	err = errors.Join(
		os.Rename(s.file("env.secret"), s.file(".env")),
		os.WriteFile(s.file("lab-ca.pem"), ca, 0o644),
		filepath.WalkDir(s.project, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, person, person))
		}))
	return s, err
}

func (s *stage) close() { _ = os.RemoveAll(s.dir) }

func (s *stage) file(name string) string { return filepath.Join(s.project, name) }

// say is the storyteller's voice.
func (s *stage) say(text string) { fmt.Printf("\n# %s\n", text) }

// want is what a command must do: exit like this and say that.
type want struct {
	exit   int
	says   []string
	silent []string // must not be said
}

// run plays one command as a person would type it.
func (s *stage) run(w want, args ...string) error {
	fmt.Printf("\n$ blast %s\n", strings.Join(args, " "))
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "blast"), args...)
	cmd.Dir = s.project
	cmd.Env = append(os.Environ(), fmt.Sprintf("SUDO_UID=%d", person), fmt.Sprintf("SUDO_GID=%d", person), "LANG=C.UTF-8", "PWD="+s.project) // as a shell has it
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(os.Stdout, &said)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("blast %s: %w", args[0], err)
	}
	if code := cmd.ProcessState.ExitCode(); code != w.exit {
		return fmt.Errorf("blast %s: exit %d, want %d", strings.Join(args, " "), code, w.exit)
	}
	for _, text := range w.says {
		if !strings.Contains(said.String(), text) {
			return fmt.Errorf("blast %s does not say %q", strings.Join(args, " "), text)
		}
	}
	for _, text := range w.silent {
		if strings.Contains(said.String(), text) {
			return fmt.Errorf("blast %s says %q", strings.Join(args, " "), text)
		}
	}
	return nil
}

// edit changes blast.hcl, as a person would, and shows the lines.
func (s *stage) edit(old, text string) error {
	b, err := os.ReadFile(s.file("blast.hcl"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("blast.hcl has no %q", old)
	}
	for line := range strings.Lines(text) {
		fmt.Printf("  + %s", line)
	}
	return os.WriteFile(s.file("blast.hcl"), []byte(strings.Replace(string(b), old, text, 1)), 0o644)
}

func (s *stage) destroy() {
	_ = s.run(want{}, "destroy", "--auto-approve")
}

// clean waits for the daemon to go, which it does when nothing is up, and
// looks for anything that is left.
func (s *stage) clean() error {
	var left []string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		var err error
		if left, err = leftovers.Find(s.project); err != nil {
			return err
		}
		if len(left) == 0 {
			fmt.Println("\nNothing is left: no process, cgroup, namespace, mount, loop device, nft table or file.")
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
}

// owner says to whom a file belongs.
func (s *stage) owner(name string) (string, error) {
	out, err := exec.CommandContext(s.ctx, "stat", "-c", "%u:%g", s.file(name)).Output()
	return strings.TrimSpace(string(out)), err
}
