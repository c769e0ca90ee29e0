//go:build linux

package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
	"blast.example/blast/runtime/resource/rlimit"
)

// A Request is one command for a sandbox.
type Request struct {
	Args    []string      // the first is looked up in PATH of Env, inside
	Env     []string      // all of it: NAME=value
	Dir     string        // absolute, inside
	Rlimits rlimit.Limits // never above the sandbox's own hard limits

	// Stdio of the command; nil is /dev/null. Files, pipes and sockets are passed
	// as they are. A terminal is not: the command gets one of its own, and Run
	// relays.
	Stdin, Stdout, Stderr *os.File

	// Deaf keeps signals of this process to itself: they are about something else.
	Deaf bool
}

// An Exit is how a command ended: by itself with a status, or by a signal.
type Exit = wire.Exit

// An Error is a command that did not run, or whose end is unknown.
type Error struct {
	Code    int // exit code to end with: wire.CodeFailed, …
	Message string
}

func (e *Error) Error() string { return e.Message }

func failed(err error) *Error { return &Error{Code: wire.CodeFailed, Message: err.Error()} }

// Run runs a command in the sandbox whose init listens on socket, until it
// ends, and returns its exit code: its own, or 128+n if signal n killed it. With
// an *Error the code is 125, 126 or 127, as with docker.
//
// Meanwhile it passes on the signals in wire.Forwarded that this process gets
// and doesn't ignore. If ctx ends, so does the command: it gets SIGHUP, and
// SIGKILL shortly afterwards. So it does if this process dies.
func Run(ctx context.Context, socket string, req Request) (int, error) {
	exit, err := Await(ctx, socket, req)
	if err == nil {
		return exit.Code(), nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = failed(err)
	}
	return e.Code, e
}

// Await is Run for who wants to know more than an exit code. An *Error is a command
// that can't be started; when ctx ends, the error is its cause.
func Await(ctx context.Context, socket string, req Request) (Exit, error) {
	var none Exit
	io, err := openStdio(req)
	if err != nil {
		return none, err
	}
	defer io.close()
	cmd, err := message(req, io)
	if err != nil {
		return none, err
	}
	signals := &signals{}
	if !req.Deaf {
		signals = catchSignals() // before the command runs, so that none is lost
		defer signals.stop()
	}
	c, err := dial(ctx, socket)
	if err != nil {
		return none, orCanceled(ctx, err)
	}
	defer func() { _ = c.Close() }()
	// A ctx that ends closes the connection, and init ends the command.
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	master, err := started(c, signals, func() (*os.File, error) { return begin(c, cmd, io.passed) })
	if err != nil {
		return none, orCanceled(ctx, err)
	}
	t := newTerminal(io, master)
	defer t.close()
	exit, err := attend(c, signals, t)
	return exit, orCanceled(ctx, err)
}

// message turns a Request into what init reads.
func message(req Request, io *stdio) ([]byte, error) {
	limits, err := rlimits(req.Rlimits)
	if err != nil {
		return nil, err
	}
	cmd := wire.Command{Args: req.Args, Env: req.Env, Dir: req.Dir, Rlimits: limits, Terminal: io.terminals}
	if size, err := io.size(); err == nil {
		cmd.Rows, cmd.Cols = size.Row, size.Col
	}
	b := cmd.Append(nil)
	if len(b) > wire.MaxRequest {
		return nil, &Error{wire.CodeNotExecutable, fmt.Sprintf("arguments and environment take %d bytes, more than %d", len(b), wire.MaxRequest)}
	}
	if _, err := wire.ParseCommand(b); err != nil {
		return nil, &Error{wire.CodeNotExecutable, fmt.Sprintf("%q is no command: an argument or variable has a NUL byte, a variable has no name, or the folder %q isn't absolute", req.Args, req.Dir)}
	}
	return b, nil
}

func dial(ctx context.Context, socket string) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
		return nil, errors.New("the sandbox is not running; \"blast apply\" starts it")
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the sandbox: %w", err)
	}
	return c.(*net.UnixConn), nil
}

// begin sends the request and waits until the command runs.
func begin(c *net.UnixConn, cmd []byte, files []*os.File) (*os.File, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	b := wire.Frame(wire.Run, cmd)
	n, _, err := c.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	// Init may have said no before it read all, so its answer comes first.
	k, payload, master, readErr := readFrame(c)
	switch {
	case readErr != nil:
		return nil, fmt.Errorf("the sandbox ended before the command ran: %w", errors.Join(err, readErr))
	case k == wire.Failed:
		f, err := wire.ParseFailure(payload)
		if err != nil {
			return nil, err
		}
		return nil, &Error{int(f.Code), f.Message}
	case k != wire.Started:
		return nil, fmt.Errorf("the sandbox answered with %q", k)
	}
	return master, nil
}

// patience is how long init may take to answer once somebody wants to end the
// command.
const patience = time.Second

// started waits for begin. Signals that come meanwhile are passed on when the
// command runs. One that asks for its end bounds the wait: init answers at once,
// but not if the commands that it has stop whatever it starts.
func started(c *net.UnixConn, s *signals, begin func() (*os.File, error)) (*os.File, error) {
	type result struct {
		master *os.File
		err    error
	}
	done := make(chan result, 1)
	go func() {
		master, err := begin()
		done <- result{master, err}
	}()
	var enough <-chan time.Time
	for {
		select {
		case r := <-done:
			return r.master, r.err
		case sig := <-s.c:
			s.early = append(s.early, sig)
			if enough == nil && ends(sig) {
				enough = time.After(patience)
			}
		case <-enough:
			_ = c.Close() // init ends the command, if there is one
			if r := <-done; r.master != nil {
				_ = r.master.Close()
			}
			return nil, interrupted(s.early)
		}
	}
}

// interrupted is how a command ends that was to end before it ran.
func interrupted(early []os.Signal) *Error {
	i := slices.IndexFunc(early, ends)
	return &Error{128 + int(early[i].(unix.Signal)), "interrupted: the sandbox does not start the command"}
}

// attend waits for the end of the command and passes signals on meanwhile.
func attend(c *net.UnixConn, s *signals, t *terminal) (Exit, error) {
	type end struct {
		exit wire.Exit
		err  error
	}
	done := make(chan end, 1)
	go func() {
		exit, err := readExit(c)
		done <- end{exit, err}
	}()
	for _, sig := range s.early {
		s.handle(c, t, sig)
	}
	for {
		select {
		case e := <-done:
			t.drain()
			return e.exit, e.err
		case sig := <-s.c:
			s.handle(c, t, sig)
		}
	}
}

func readExit(c *net.UnixConn) (wire.Exit, error) {
	k, payload, _, err := readFrame(c)
	if err != nil {
		return wire.Exit{}, errors.New("the sandbox ended while the command ran")
	}
	if k != wire.Exited {
		return wire.Exit{}, fmt.Errorf("the sandbox answered with %q", k)
	}
	return wire.ParseExit(payload)
}

// Ping asks init who it is and returns the id of its sandbox. It is no error of
// the host if nobody answers: then the sandbox is not there.
func Ping(ctx context.Context, socket string) (string, error) {
	c, err := dial(ctx, socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(5 * time.Second)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := c.Write(wire.Frame(wire.Hello, nil)); err != nil {
		return "", fmt.Errorf("ping the sandbox: %w", err)
	}
	k, id, _, err := readFrame(c)
	if err != nil {
		return "", fmt.Errorf("ping the sandbox: %w", err)
	}
	if k != wire.Ready {
		return "", fmt.Errorf("ping the sandbox: it answered with %q", k)
	}
	return string(id), nil
}

func orCanceled(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
