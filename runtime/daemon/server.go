package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/apply"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
)

// idle is how long a daemon with nothing to look after waits for the next
// command before it goes.
const idle = 3 * time.Second

// ErrRunning means that another daemon is there already.
var ErrRunning = errors.New("another blastd is running")

// A Server answers the control socket.
type Server struct {
	Engine  *Engine
	Version string
	Program string // see wire.Request; "" answers everybody
	Doctor  func(ctx context.Context, dir string) (any, error)
	Log     *slog.Logger

	mu    sync.Mutex
	conns int
	timer *time.Timer
	stop  context.CancelFunc

	leaving bool // no request is begun any more
}

// Serve takes the daemon's lock, adopts what is up, listens, says so through
// ready, and answers until ctx ends or there is nothing left to do.
func (s *Server) Serve(ctx context.Context, ready func()) error {
	lock, err := wire.TakeLock(wire.Lock)
	switch {
	case errors.Is(err, wire.ErrTaken):
		return ErrRunning
	case err != nil:
		return fmt.Errorf("lock daemon: %w", err)
	}
	defer func() { _ = lock.Close() }()
	ln, err := listen(wire.Socket)
	if err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	s.Engine.Adopt(ctx)
	s.timer = time.AfterFunc(idle, s.maybeGo)
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	ready()
	var wg sync.WaitGroup
	for {
		conn, err := acceptNext(ln)
		if err != nil {
			break
		}
		s.count(+1)
		wg.Go(func() {
			defer s.count(-1)
			s.serve(ctx, conn)
		})
	}
	s.stop()
	wg.Wait() // an apply that was under way rolls back
	err = s.Engine.Close()
	s.tidy()
	return err
}

// acceptAgain is how long to wait when the kernel gives no connection away.
const acceptAgain = 20 * time.Millisecond

// acceptNext takes the next connection. An error means that ln is closed: a daemon that is
// out of descriptors, which a sandbox may have a share in, must not go for that.
func acceptNext(ln *net.UnixListener) (*net.UnixConn, error) {
	for {
		conn, err := ln.AcceptUnix()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		<-time.After(acceptAgain)
	}
}

// tidy removes the daemon's own files when no environment is left.
func (s *Server) tidy() {
	_ = os.Remove(wire.Socket)
	if envs, err := s.Engine.Up(); err == nil && len(envs) == 0 {
		_ = os.Remove(wire.Log)
		_ = os.Remove(wire.Lock)
		_ = os.Remove(state.RunRoot) // only if empty
	}
}

// listen replaces a dead daemon's socket; the lock says that it is dead.
func listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	old := unix.Umask(0o177) // from its first moment nobody else may connect
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ln.SetUnlinkOnClose(false) // a successor's socket may be there by then
	return ln, nil
}

func (s *Server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns += n
	if s.conns == 0 {
		s.timer.Reset(idle)
	}
}

// maybeGo ends the daemon if nothing is up and nobody is connected.
func (s *Server) maybeGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > 0 {
		return
	}
	if envs, err := s.Engine.Up(); err != nil || len(envs) > 0 {
		s.timer.Reset(idle)
		return
	}
	s.stop()
}

func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	if err := checkPeer(conn); err != nil {
		s.Log.Warn("refused a connection", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := wire.NewReader(conn)
	var req wire.Request
	if err := wire.Read(r, &req); err != nil {
		if errors.Is(err, wire.ErrTooLong) {
			_ = wire.Write(conn, wire.Response{Error: &wire.Error{Code: wire.CodeFailed, Message: err.Error()}})
		}
		return
	}
	stopCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go hearCancel(r, cancel, stop)
	if s.isLeaving() && req.Method != wire.Shutdown {
		<-ctx.Done() // no answer: the command asks the next daemon
		return
	}
	if req.Method == wire.Monitor { // whose reader may stop reading in the middle of it
		defer release(ctx, conn)()
	}
	var mu sync.Mutex
	send := func(resp wire.Response) {
		b, err := wire.Encode(resp)
		if err != nil {
			b, _ = wire.Encode(wire.Response{Error: toWire(err)})
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = conn.Write(b)
	}
	result, err := s.answer(ctx, stopCtx, req, func(ev wire.Event) { send(wire.Response{Event: &ev}) })
	if err != nil {
		s.Log.Info("request failed", "method", req.Method, "err", err)
		send(wire.Response{Error: toWire(err)})
		return
	}
	send(wire.Response{Result: result})
}

// hearCancel waits for what a command says while it waits. One that went away has
// cancelled, and not more: its undo goes on.
func hearCancel(r *bufio.Reader, cancel, stop context.CancelFunc) {
	defer cancel()
	for {
		var req wire.Request
		if err := wire.Read(r, &req); err != nil {
			return
		}
		switch req.Method {
		case wire.Cancel:
			cancel()
		case wire.Stop:
			cancel()
			stop()
		}
	}
}

// suits refuses what another Blast asks.
func (s *Server) suits(req wire.Request) error {
	if req.Protocol != wire.Protocol && req.Method != wire.Shutdown && req.Method != wire.Attend {
		return &wire.Error{Code: wire.CodeProtocol, Message: fmt.Sprintf("blastd speaks protocol %d, not %d", wire.Protocol, req.Protocol)}
	}
	if req.Program != "" && s.Program != "" && req.Program != s.Program {
		return &wire.Error{Code: wire.CodeProtocol, Message: "another installation's blastd is running, or one from before an update"}
	}
	return nil
}

func (s *Server) answer(ctx, stop context.Context, req wire.Request, tell func(wire.Event)) (any, error) {
	if err := s.suits(req); err != nil {
		return nil, err
	}
	switch req.Method {
	case wire.Hello:
		return wire.HelloResult{Protocol: wire.Protocol, Version: s.Version, PID: os.Getpid()}, nil
	case wire.Look:
		return with(req, func(p wire.LookParams) (any, error) {
			look, err := s.Engine.Look(ctx, p, tell)
			return look.Brief(p), err
		})
	case wire.Apply:
		return with(req, func(p wire.ApplyParams) (any, error) { return s.Engine.Apply(ctx, stop, p, tell) })
	case wire.Status:
		envs, err := s.Engine.Up()
		return wire.StatusResult{PID: os.Getpid(), RSS: residentMemory(), Environments: envs}, err
	case wire.Survey:
		return with(req, func(p wire.SurveyParams) (any, error) { return s.Engine.Survey(ctx, p) })
	case wire.Doctor:
		return with(req, func(p wire.DoctorParams) (any, error) { return s.Doctor(ctx, p.Dir) })
	case wire.Save:
		return with(req, func(p wire.SaveParams) (any, error) { return s.Engine.Save(ctx, p, tell) })
	case wire.Monitor:
		return with(req, func(p wire.MonitorParams) (any, error) { return struct{}{}, s.Engine.Monitor(ctx, p, tell) })
	case wire.Flush:
		return with(req, func(p wire.FlushParams) (any, error) { return struct{}{}, s.Engine.Flush(ctx, p.Env) })
	case wire.Attend:
		<-ctx.Done()
		return struct{}{}, nil
	case wire.Shutdown:
		s.leave(ctx)
		return struct{}{}, nil
	}
	return s.command(ctx, req, tell)
}

// command answers what changes a running environment or its layer, without a plan.
func (s *Server) command(ctx context.Context, req wire.Request, tell func(wire.Event)) (any, error) {
	switch req.Method {
	case wire.Hold:
		return with(req, func(p wire.HoldParams) (any, error) { return s.Engine.Hold(ctx, p, tell) })
	case wire.Release:
		return with(req, func(p wire.ReleaseParams) (any, error) { return s.Engine.Release(ctx, p, tell) })
	case wire.Kill:
		return with(req, func(p wire.KillParams) (any, error) { return s.Engine.Kill(ctx, p, tell) })
	case wire.Changes:
		return with(req, func(p wire.ChangesParams) (any, error) { return s.Engine.Changes(ctx, p, tell) })
	case wire.Take:
		return with(req, func(p wire.TakeParams) (any, error) { return s.Engine.Take(ctx, p, tell) })
	case wire.Discard:
		return with(req, func(p wire.TakeParams) (any, error) { return s.Engine.Discard(ctx, p, tell) })
	}
	return nil, fmt.Errorf("unknown method %q", req.Method)
}

// with answers a request by its parameters.
func with[P any](req wire.Request, answer func(P) (any, error)) (any, error) {
	var p P
	err := json.Unmarshal(req.Params, &p)
	if about, ok := any(p).(interface{ About() state.Env }); ok && err == nil {
		err = about.About().Check()
	}
	if err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", req.Method, err)
	}
	return answer(p)
}

// leave ends the daemon when nothing is being applied any more.
func (s *Server) leave(ctx context.Context) {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	s.Engine.Wait(context.WithoutCancel(ctx))
	s.stop()
}

func (s *Server) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// checkPeer lets in only the daemon's own user. The socket's mode says the same;
// this holds if somebody widens it.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if cerr != nil {
		return cerr
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("uid %d (pid %d) may not command this daemon", cred.Uid, cred.Pid)
	}
	return nil
}

func toWire(err error) *wire.Error {
	var (
		we *wire.Error
		rb *apply.RolledBackError
		in *apply.IncompleteError
		pa *apply.PartialError
	)
	switch {
	case errors.As(err, &we):
		return we
	case errors.As(err, &in):
		return &wire.Error{Code: wire.CodeIncomplete, Message: in.Error(), Advice: advice(in)}
	case errors.As(err, &pa):
		return &wire.Error{Code: wire.CodePartial, Message: pa.Err.Error(), Advice: advice(pa), Addr: pa.Addr, Kept: pa.Kept}
	case errors.As(err, &rb):
		return &wire.Error{Code: wire.CodeRolledBack, Message: rb.Err.Error(), Advice: advice(rb), Addr: rb.Addr, Undone: rb.Undone}
	case errors.Is(err, state.ErrLocked):
		return &wire.Error{Code: wire.CodeLocked, Message: err.Error()}
	}
	return &wire.Error{Code: wire.CodeFailed, Message: err.Error(), Advice: advice(err)}
}

// residentMemory is VmRSS of proc_pid_status(5), in bytes.
func residentMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}
