package cache

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"blast.example/blast/runtime/packages/wheel"
)

//go:embed compile.py
var compilePy string

// Bounds on one module. The largest modules on PyPI have some 5 MB.
const (
	maxSource   = 16 << 20
	maxBytecode = 64 << 20
)

// nobody is the user and group without rights (Debian policy 9.2.2).
const nobody = 65534

// compile adds bytecode to an unpacked wheel, so that no run of a program has to
// make it again in memory: the environment is read-only for all of them.
//
// The compiler reads hostile text. It runs in one process per wheel that has no
// user, no network, no other process and bounded memory and time, and talks
// through pipes only: the most that bad source can reach is the bytecode of its
// own wheel. That process dying means that bytecode is missing, no more.
func compile(ctx context.Context, python, venv string, root *os.Root, in *wheel.Installed) error {
	var sources []wheel.File
	there := map[string]bool{}
	for _, f := range in.Files {
		there[f.Path] = true
		if strings.HasSuffix(f.Path, ".py") && strings.HasPrefix(f.Path, path.Dir(in.Info)+"/") && f.Size <= maxSource {
			sources = append(sources, f)
		}
	}
	if len(sources) == 0 {
		return nil
	}
	c, err := startCompiler(ctx, python)
	if err != nil {
		return ctx.Err() // nobody without rights may start that Python
	}
	defer c.end()
	for _, f := range sources {
		out := path.Join(path.Dir(f.Path), "__pycache__", strings.TrimSuffix(path.Base(f.Path), ".py")+"."+c.tag+".pyc")
		if there[out] {
			continue
		}
		added, err := c.add(root, f.Path, filepath.Join(venv, f.Path), out)
		if err != nil {
			return fmt.Errorf("compile %s: %w", in.Name, err)
		}
		if added == nil {
			break // the process died
		}
		if added.Path != "" {
			in.Files = append(in.Files, *added)
		}
	}
	slices.SortFunc(in.Files, func(a, b wheel.File) int { return strings.Compare(a.Path, b.Path) })
	return ctx.Err()
}

type compiler struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	tag string // of the names of its files: cpython-311
}

var cacheTag = regexp.MustCompile(`^[a-z]+-[0-9]+[a-z]*$`)

func startCompiler(ctx context.Context, python string) (*compiler, error) {
	cmd := exec.CommandContext(ctx, python, "-I", "-S", "-B", "-W", "ignore", "-c", compilePy)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &compiler{cmd: cmd, in: in, out: bufio.NewReader(out)}
	tag, err := c.answer()
	if err == nil && !cacheTag.Match(tag) {
		err = fmt.Errorf("%s has cache tag %q", python, tag)
	}
	if err != nil {
		c.end()
		return nil, fmt.Errorf("start %s: %w", python, err)
	}
	c.tag = string(tag)
	return c, nil
}

func (c *compiler) end() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill() // it has answered all it was asked
	_ = c.cmd.Wait()
}

// answer reads one answer.
func (c *compiler) answer() ([]byte, error) {
	var n uint32
	if err := binary.Read(c.out, binary.LittleEndian, &n); err != nil {
		return nil, err
	}
	if n > maxBytecode {
		return nil, fmt.Errorf("an answer has %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c.out, b)
	return b, err
}

// ask compiles one module.
func (c *compiler) ask(name string, source []byte) ([]byte, error) {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))   //nolint:gosec // a path
	head = binary.LittleEndian.AppendUint32(head, uint32(len(source))) //nolint:gosec // below maxSource
	if _, err := c.in.Write(slices.Concat(head, []byte(name), source)); err != nil {
		return nil, err
	}
	return c.answer()
}

// add writes the bytecode of a module. It returns nil if the compiler is no
// more, and a File without path if the module can't be compiled.
func (c *compiler) add(root *os.Root, module, name, out string) (*wheel.File, error) {
	source, err := root.ReadFile(module)
	if err != nil {
		return nil, err
	}
	code, err := c.ask(name, source)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // see above
	}
	if len(code) == 0 {
		return &wheel.File{}, nil
	}
	if err := root.MkdirAll(path.Dir(out), wheel.FolderMode); err != nil {
		return nil, err
	}
	if err := root.WriteFile(out, code, wheel.FileMode); err != nil {
		return nil, err
	}
	if err := root.Chmod(out, wheel.FileMode); err != nil {
		return nil, err
	}
	if err := root.Chtimes(out, wheel.Time, wheel.Time); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(code)
	return &wheel.File{Path: out, Size: int64(len(code)), SHA256: hex.EncodeToString(sum[:])}, nil
}
