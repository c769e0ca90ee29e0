// Command bench measures Blast beside its peers, interleaved in one run, and
// prints medians and ratios: absolute times are the machine's, ratios count.
// Run it with `make bench`. It is no test: nothing fails when it is slow.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const peerArg = "peer"

func main() {
	if len(os.Args) > 1 && os.Args[1] == peerArg {
		servePeers()
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A subject is one thing to measure; prepare is not counted.
type subject struct {
	name    string
	prepare func() error
	do      func() (time.Duration, error)
	times   []time.Duration
}

func (s *subject) median() time.Duration {
	ts := slices.Clone(s.times)
	slices.Sort(ts)
	if len(ts) == 0 {
		return 0
	}
	return ts[len(ts)/2]
}

func run() error {
	dir, err := os.MkdirTemp("", "blast-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := newBlast(dir)
	if err != nil {
		return err
	}
	defer b.destroy()
	p, err := newPeers(dir)
	if err != nil {
		return err
	}
	defer p.close()
	if err := b.apply(); err != nil {
		return err
	}
	warm := []*subject{
		{name: "fork+exec /bin/true", do: timed("/bin/true")},
		{name: "blast version", do: timed(b.bin, "version")},
		{name: "blast run -- true", do: b.timed("run", "--", "true")},
		{name: "bwrap true", do: timed("bwrap", bwrapArgs("/bin/true")...)},
		{name: "crun exec true", do: p.timed("crun", "exec", "bench-exec", "/bin/true")},
		{name: "crun run true", do: p.timed("crun", "run", "--bundle", p.bundle, "bench-run")},
	}
	fmt.Println("warm: one command, from start to exit")
	measure(warm, 41)
	report(warm, "bwrap true", "crun exec true")
	fmt.Printf("\nresident memory of blastd with one environment up: %s\n", b.rss())
	cold := []*subject{
		{name: "blast apply (no packages)", prepare: b.destroyQuietly, do: b.timed("apply", "--auto-approve")},
		{name: "blast plan, nothing to do", do: b.timed("plan")},
		{name: "crun run true", do: p.timed("crun", "run", "--bundle", p.bundle, "bench-run")},
		{name: "bwrap true", do: timed("bwrap", bwrapArgs("/bin/true")...)},
	}
	fmt.Println("\ncold: a sandbox from nothing (blastd is running; the sandbox stays up for the next command)")
	measure(cold, 15)
	report(cold, "crun run true")
	fmt.Println("\nbinaries")
	for _, name := range []string{"blast", "blast-cli", "blastd", "blast-init"} {
		fi, err := os.Stat(filepath.Join(filepath.Dir(b.bin), name))
		if err != nil {
			return err
		}
		fmt.Printf("  %-12s %6.1f MiB\n", name, float64(fi.Size())/(1<<20))
	}
	return nil
}

// measure runs all subjects in turn, n times, so that a noisy moment hits all.
func measure(subjects []*subject, n int) {
	for round := range n + 1 {
		for _, s := range subjects {
			d, err := once(s)
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
				continue
			}
			if round > 0 { // the first one warms up
				s.times = append(s.times, d)
			}
		}
	}
}

func once(s *subject) (time.Duration, error) {
	if s.prepare != nil {
		if err := s.prepare(); err != nil {
			return 0, err
		}
	}
	return s.do()
}

func report(subjects []*subject, against ...string) {
	for _, s := range subjects {
		line := fmt.Sprintf("  %-28s %8.2f ms", s.name, ms(s.median()))
		for _, name := range against {
			i := slices.IndexFunc(subjects, func(o *subject) bool { return o.name == name })
			if base := subjects[i].median(); base > 0 {
				line += fmt.Sprintf("   %5.2f x %s", float64(s.median())/float64(base), name)
			}
		}
		fmt.Printf("%s   (n=%d)\n", line, len(s.times))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func timed(name string, args ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) { return spend(exec.Command(name, args...)) }
}

func spend(cmd *exec.Cmd) (time.Duration, error) {
	start := time.Now()
	out, err := cmd.CombinedOutput()
	d := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return d, nil
}

// blast is a project without packages and the binaries beside this one.
type blast struct{ bin, project string }

func newBlast(dir string) (*blast, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &blast{filepath.Join(filepath.Dir(self), "blast"), filepath.Join(dir, "project")}
	if err := os.Mkdir(b.project, 0o755); err != nil {
		return nil, err
	}
	text := "filesystem {\n  workspace {\n    source = \".\"\n  }\n}\n"
	return b, os.WriteFile(filepath.Join(b.project, "blast.hcl"), []byte(text), 0o644)
}

func (b *blast) cmd(args ...string) *exec.Cmd {
	cmd := exec.Command(b.bin, args...)
	cmd.Dir = b.project
	return cmd
}

func (b *blast) timed(args ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) { return spend(b.cmd(args...)) }
}

func (b *blast) apply() error {
	_, err := spend(b.cmd("apply", "--auto-approve"))
	return err
}

func (b *blast) destroyQuietly() error {
	_, err := spend(b.cmd("destroy", "--auto-approve"))
	return err
}

func (b *blast) destroy() {
	if err := b.destroyQuietly(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: destroy:", err)
	}
}

func (b *blast) rss() string {
	out, err := b.cmd("status", "--json").Output()
	var v struct {
		Daemon struct {
			RSS int64 `json:"rss_bytes"`
		} `json:"daemon"`
	}
	if err != nil || json.Unmarshal(out, &v) != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f MiB", float64(v.Daemon.RSS)/(1<<20))
}

func bwrapArgs(args ...string) []string {
	return append([]string{"--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
		"--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"}, args...)
}

// peers runs crun in a mount namespace that shows cgroup v1 only where the host
// is hybrid: Debian 12's crun refuses that. The namespace is made once, so that
// it costs crun nothing.
type peers struct {
	bundle string
	in     *json.Encoder
	out    *bufio.Scanner
	close  func()
}

type peerResult struct {
	NS  int64  `json:"ns"`
	Err string `json:"err,omitempty"`
}

func newPeers(dir string) (*peers, error) {
	p := &peers{bundle: filepath.Join(dir, "bundle")}
	if err := makeBundle(p.bundle, "/bin/true"); err != nil {
		return nil, err
	}
	sleeper := filepath.Join(dir, "sleeper")
	if err := makeBundle(sleeper, "/bin/sleep", "100000"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, peerArg)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = json.NewEncoder(in), bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := p.call("crun", "run", "--detach", "--bundle", sleeper, "bench-exec"); err != nil {
		fmt.Fprintln(os.Stderr, "bench: crun:", err)
	}
	p.close = func() {
		_, _ = p.call("crun", "delete", "--force", "bench-exec")
		_ = in.Close()
		_ = cmd.Wait()
	}
	return p, nil
}

func (p *peers) timed(args ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) { return p.call(args...) }
}

func (p *peers) call(args ...string) (time.Duration, error) {
	if err := p.in.Encode(args); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, fmt.Errorf("peer runner went away")
	}
	var r peerResult
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		return 0, err
	}
	if r.Err != "" {
		return 0, fmt.Errorf("%s", r.Err)
	}
	return time.Duration(r.NS), nil
}

// servePeers is the child in the private mount namespace.
func servePeers() {
	_ = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		_ = syscall.Unmount("/sys/fs/cgroup/unified", syscall.MNT_DETACH)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var args []string
		if in.Decode(&args) != nil {
			return
		}
		cmd := exec.Command(args[0], args[1:]...)
		var text bytes.Buffer
		if !slices.Contains(args, "--detach") { // a detached container would keep the pipe open
			cmd.Stdout, cmd.Stderr = &text, &text
		}
		start := time.Now()
		err := cmd.Run()
		r := peerResult{NS: time.Since(start).Nanoseconds()}
		if err != nil {
			r.Err = fmt.Sprintf("%s: %v: %s", strings.Join(args, " "), err, bytes.TrimSpace(text.Bytes()))
		}
		_ = out.Encode(r)
	}
}

// makeBundle writes an OCI bundle on the host's /usr with the namespaces that
// Blast uses, too.
func makeBundle(dir string, args ...string) error {
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{"usr", "proc", "dev", "tmp", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for link, to := range map[string]string{"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			return err
		}
	}
	type m = map[string]any
	spec := m{
		"ociVersion": "1.0.2",
		"process":    m{"args": args, "cwd": "/", "env": []string{"PATH=/usr/bin:/bin"}, "user": m{"uid": 0, "gid": 0}, "noNewPrivileges": true},
		"root":       m{"path": "rootfs", "readonly": true},
		"mounts": []m{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
			{"destination": "/usr", "type": "bind", "source": "/usr", "options": []string{"rbind", "ro"}},
			{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
		},
		"linux": m{"namespaces": []m{{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}},
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
}
