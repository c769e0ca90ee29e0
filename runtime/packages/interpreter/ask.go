package interpreter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"blast.example/blast/runtime/packages/pep508"
)

// answer is what an interpreter says about itself.
type answer struct {
	Env     pep508.Environment `json:"env"`
	Libc    [2]int             `json:"libc"` // glibc; 0.0 is another
	Arch    string             `json:"arch"`
	Version [2]int             `json:"version"`
	Free    bool               `json:"free"` // free-threaded
}

const question = `
import json, os, platform, sys, sysconfig
def version(info):
    v = "{0.major}.{0.minor}.{0.micro}".format(info)
    return v if info.releaselevel == "final" else v + info.releaselevel[0] + str(info.serial)
libc = platform.libc_ver()
arch = platform.machine()
if arch == "x86_64" and sys.maxsize < 2**32:
    arch = "i686"
print(json.dumps({
  "env": {
    "implementation_name": sys.implementation.name,
    "implementation_version": version(sys.implementation.version),
    "os_name": os.name,
    "platform_machine": platform.machine(),
    "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(),
    "platform_system": platform.system(),
    "platform_version": platform.version(),
    "python_full_version": platform.python_version(),
    "python_version": ".".join(platform.python_version_tuple()[:2]),
    "sys_platform": sys.platform},
  "libc": [int(x) for x in libc[1].split(".")[:2]] if libc[0] == "glibc" else [0, 0],
  "arch": arch,
  "version": list(sys.version_info[:2]),
  "free": bool(sysconfig.get_config_var("Py_GIL_DISABLED"))}))
`

const (
	patience  = 10 * time.Second
	maxAnswer = 64 << 10 // bytes
)

// ask describes the interpreter at a path, from memory if it was asked before.
func (m memory) ask(ctx context.Context, path string) (*Found, error) {
	of, err := identity(path)
	if err != nil {
		return nil, err
	}
	if text := m.recall(of); text != nil {
		var a answer
		if json.Unmarshal(text, &a) == nil {
			if py, err := a.describe(path); err == nil {
				return py, nil
			}
		}
	}
	text, err := run(ctx, path)
	if err != nil {
		return nil, err
	}
	var a answer
	if json.Unmarshal(text, &a) != nil {
		return nil, errNonsense
	}
	py, err := a.describe(path)
	if err == nil {
		m.keep(of, text)
	}
	return py, err
}

// run asks an interpreter, without the person's settings and site-packages.
func run(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-c", question)
	cmd.Env = []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // a child of it may hold the pipe
	out := &bounded{stop: cancel}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		switch {
		case out.full:
			return nil, errNonsense
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, fmt.Errorf("does not answer within %v", patience)
		}
		return nil, fmt.Errorf("does not answer (%w)", err)
	}
	if out.full {
		return nil, errNonsense
	}
	return out.buf.Bytes(), nil
}

// bounded keeps so much of an answer, and ends what gives more. It has no
// ReadFrom, which would go past its bound.
type bounded struct {
	buf  bytes.Buffer
	full bool
	stop func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > maxAnswer {
		b.full = true
		b.stop()
		return 0, errNonsense
	}
	return b.buf.Write(p)
}
