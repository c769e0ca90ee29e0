// Package client is the command line's end of the control socket: it finds the
// daemon, starts it when there is none, and makes one request.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"blast.example/blast/runtime/daemon/wire"
)

// ErrPrivilege means that this user may not talk to the daemon.
var ErrPrivilege = errors.New("root is needed: Blast makes namespaces, mounts and cgroups; run it with sudo (a rootless tier is not there yet)")

// A Client talks to the daemon of this user.
type Client struct {
	Daemon string // path of blastd
	Socket string

	// Stop, when it is closed, ends even an undo that a cancelled apply is at: see
	// wire.Stop. Nil never is.
	Stop <-chan struct{}
}

// New returns a client that starts the blastd beside this very program.
func New() (*Client, error) {
	if os.Geteuid() != 0 {
		return nil, ErrPrivilege
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find blastd: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, fmt.Errorf("find blastd: %w", err)
	}
	return &Client{Daemon: filepath.Join(filepath.Dir(self), "blastd"), Socket: wire.Socket}, nil
}

// Call makes one request and decodes its result into result, which may be nil.
// Events go to tell, which may be nil. When ctx ends the daemon is told to
// cancel, and Call still waits for its answer: an apply is then rolling back.
func (c *Client) Call(ctx context.Context, method string, params, result any, tell func(wire.Event)) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for attempt := 0; ; attempt++ {
		conn, err := c.connect(ctx)
		if err != nil {
			return err
		}
		err = c.converse(ctx, conn, wire.Request{Protocol: wire.Protocol, Method: method, Params: raw, Program: wire.Program(c.Daemon)}, result, tell)
		_ = conn.Close()
		switch {
		case errors.Is(err, errNoAnswer) && attempt < 3:
			continue // it was just going away
		case isProtocol(err) && attempt < 3:
			c.dismiss(ctx)
			continue
		case errors.Is(err, errNoAnswer), errors.Is(err, ErrDied):
			return fmt.Errorf("%w; see %s; the next command recovers", err, wire.Log)
		}
		return err
	}
}

// ErrDied means that the daemon ended in the middle of a request. What it was at is
// finished or taken back by the next one.
var ErrDied = errors.New("blastd died while it worked")

var errNoAnswer = errors.New("blastd went away without an answer")

func isProtocol(err error) bool {
	var we *wire.Error
	return errors.As(err, &we) && we.Code == wire.CodeProtocol
}

func (c *Client) converse(ctx context.Context, conn *net.UnixConn, req wire.Request, result any, tell func(wire.Event)) error {
	if err := wire.Write(conn, req); err != nil {
		return errNoAnswer
	}
	defer c.pass(ctx, conn)()
	r := wire.NewReader(conn)
	if result == nil {
		result = new(json.RawMessage)
	}
	for first := true; ; first = false {
		resp := wire.Response{Result: result}
		if err := wire.Read(r, &resp); err != nil {
			if first && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
				return errNoAnswer
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
				return ErrDied
			}
			return fmt.Errorf("talk to blastd: %w", err)
		}
		switch {
		case resp.Event != nil:
			if tell != nil {
				tell(*resp.Event)
			}
		case resp.Error != nil:
			return resp.Error
		default:
			return nil
		}
	}
}

// pass tells the daemon when ctx ends and when Stop is closed, until the returned
// function is called.
func (c *Client) pass(ctx context.Context, conn *net.UnixConn) func() {
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { _ = wire.Write(conn, wire.Request{Method: wire.Cancel}) })
	go func() {
		select {
		case <-c.Stop:
			_ = wire.Write(conn, wire.Request{Method: wire.Stop})
		case <-over.Done():
		}
	}()
	return func() { stop(); end() }
}

// Attend makes sure that a daemon is there, and brings it back whenever it dies,
// until the returned function is called. What the daemon enforced stays shut
// while it is gone.
func (c *Client) Attend(ctx context.Context) (stop func(), err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			_ = wire.Write(conn, wire.Request{Protocol: wire.Protocol, Method: wire.Attend})
			end := context.AfterFunc(ctx, func() { _ = conn.Close() })
			_, _ = io.Copy(io.Discard, conn)
			end()
			_ = conn.Close()
			if ctx.Err() != nil {
				return
			}
			if conn, err = c.connect(ctx); err != nil {
				return
			}
		}
	}()
	return cancel, nil
}

// Running reports whether a daemon listens, and starts none.
func (c *Client) Running() bool {
	conn, err := dial(c.Socket)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func (c *Client) connect(ctx context.Context) (*net.UnixConn, error) {
	for attempt := 0; ; attempt++ {
		conn, err := dial(c.Socket)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("connect to blastd: %w", err)
		}
		if err := c.start(ctx); err != nil {
			return nil, err
		}
		if attempt == 5 {
			return nil, fmt.Errorf("blastd starts and goes away again; see %s", wire.Log)
		}
	}
}

func dial(socket string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
}

// start runs blastd and waits until it says on a pipe that it is ready, or why
// it isn't. A second daemon that finds the first one running is ready, too.
func (c *Client) start(ctx context.Context) error {
	log, err := wire.Open(wire.Log)
	if err != nil {
		return fmt.Errorf("start blastd: %w", err)
	}
	defer func() { _ = log.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start blastd: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command(c.Daemon) //nolint:noctx // it outlives this command
	cmd.Env = daemonEnv(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return fmt.Errorf("start blastd: %w; install blast, blast-cli, blastd and blast-init in one folder", err)
	}
	_ = cmd.Process.Release()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := io.ReadAll(io.LimitReader(r, 64<<10))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("start blastd: %w", err)
	case strings.TrimSpace(string(said)) != "ready":
		return fmt.Errorf("start blastd: %s (see %s)", strings.TrimSpace(string(said)), wire.Log)
	}
	return nil
}

// daemonEnv is what a daemon starts with. It outlives the command that starts it
// and serves others, so what that one's shell holds, secrets and all, is none of
// its business, whatever it is called. BLAST_CRASH tells the crash suite's when to die.
func daemonEnv(environ []string) []string {
	out := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if name == "XDG_CACHE_HOME" || name == "TZ" || strings.HasPrefix(name, "SSL_CERT_") || strings.HasPrefix(name, "BLAST_CRASH") {
			out = append(out, v)
		}
	}
	return out
}

// dismiss asks a daemon of another version to go. Sandboxes stay up.
func (c *Client) dismiss(ctx context.Context) {
	conn, err := dial(c.Socket)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = wire.Write(conn, wire.Request{Protocol: wire.Protocol, Method: wire.Shutdown})
	_, _ = io.Copy(io.Discard, conn)
}
