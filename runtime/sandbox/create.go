//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// startTime is how long init may take from its first instruction to being ready.
const startTime = 20 * time.Second

// Create makes a sandbox and returns when its init takes commands. There must be
// nothing of it yet: see Destroy. If it fails or ctx ends, nothing is left.
func Create(ctx context.Context, s Spec) (_ *Sandbox, err error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("create sandbox: %w", err)
	}
	if err := checkUnused(s); err != nil {
		return nil, fmt.Errorf("create sandbox: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("create sandbox: %w", err), Destroy(context.WithoutCancel(ctx), s.Env, s.ID))
		}
	}()
	sk, err := s.skeleton()
	if err != nil {
		return nil, err
	}
	if err := sk.build(SkeletonDir(s.Env, s.ID)); err != nil {
		return nil, err
	}
	if err := s.start(ctx, sk); err != nil {
		return nil, err
	}
	return Load(ctx, s.Env, s.ID)
}

// checkUnused makes sure that limits exist and that no part of another sandbox
// is taken over.
func checkUnused(s Spec) error {
	folders, err := leafFolders(s.Env, s.ID)
	if err != nil {
		return err
	}
	if err := checkParents(folders); err != nil {
		return err
	}
	ids, err := List(s.Env)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id == s.ID {
			return fmt.Errorf("sandbox %s exists", id)
		}
	}
	return nil
}

// start starts the container and waits for its init's word.
func (s Spec) start(ctx context.Context, sk skeleton) error {
	config, err := s.config(sk)
	if err != nil {
		return err
	}
	socket, err := listen(SocketPath(s.Env, s.ID))
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	programs, err := filtersFile()
	if err != nil {
		return err
	}
	defer func() { _ = programs.Close() }()
	ready, status, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make status pipe: %w", err)
	}
	defer func() { _ = ready.Close() }()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := libcontainer.Create(stateRoot(s.Env), s.ID, config)
	if err != nil {
		_ = status.Close()
		return fmt.Errorf("create container: %w", err)
	}
	p := &libcontainer.Process{
		Init: true,
		Args: []string{initPath, s.ID},
		Cwd:  "/",
		UID:  int(s.UID),
		GID:  int(s.GID),
		// The numbers are blast-init's: 3, 4 and 5.
		ExtraFiles: []*os.File{socket, programs, status},
	}
	err = c.Run(p)
	_ = status.Close() // so that the end of init is the end of the pipe
	if err != nil {
		if strings.Contains(strings.ToLower(err.Error()), unix.EAGAIN.Error()) { // runc's C writes it with a capital
			return fmt.Errorf("start container: %w; %s", err, noRoom)
		}
		return fmt.Errorf("start container: %w", err)
	}
	s.reap(p)
	return awaitReady(ctx, ready)
}

// reap waits for the init, should it end before this process does, and notes how it
// did.
func (s Spec) reap(p *libcontainer.Process) {
	pid, err := p.Pid()
	if err != nil {
		pid = 0 // it has ended: see awaitReady
	}
	w := newWatch(s.Env, s.ID, pid)
	go func() {
		state, _ := p.Wait() // an exit with a status is an error, too
		switch {
		case w == nil:
		case state == nil:
			w.close()
		default:
			w.ended(state.Sys().(syscall.WaitStatus)) //nolint:forcetypeassert // what it is on Linux
		}
	}()
}

const noRoom = "pids.max or memory.max of the resource block may leave no room for it, beside what runs already"

// awaitReady waits until init says that it is ready, says why not, or ends.
func awaitReady(ctx context.Context, ready *os.File) error {
	if err := ready.SetReadDeadline(time.Now().Add(startTime)); err != nil {
		return fmt.Errorf("wait for init: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, 512)
	n, err := ready.Read(b)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return errors.New("init ended before it was ready; " + noRoom)
	case err != nil:
		return fmt.Errorf("wait for init: it is not ready after %s: %w", startTime, err)
	case b[0] != 0:
		return fmt.Errorf("init: %q", b[:n])
	}
	return nil
}

// listen makes the socket that init takes commands on. Only root can connect.
func listen(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make init's socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = os.Chmod(path, 0o600) // before it listens, so that nobody else can be first
	}
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("make init's socket: %w", err)
	}
	return f, nil
}

// filtersFile holds the seccomp programs for init, sealed.
func filtersFile() (*os.File, error) {
	b, err := filters()
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("pass seccomp programs: %w", err)
	}
	f := os.NewFile(uintptr(fd), "seccomp")
	if _, err = f.Write(b); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("pass seccomp programs: %w", err)
	}
	return f, nil
}
