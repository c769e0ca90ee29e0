package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// slow is a kind whose Apply can be held, for what happens meanwhile.
type slow struct {
	mu    sync.Mutex
	there map[string]plan.Object
	begun chan string   // told when an Apply begins, if not nil
	hold  chan struct{} // Apply waits until it is closed, if not nil
}

func (h *slow) Observe(context.Context, state.Env) ([]plan.Object, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var objs []plan.Object
	for _, o := range h.there {
		objs = append(objs, o)
	}
	return objs, nil
}

func (h *slow) Apply(ctx context.Context, _ state.Env, c plan.Change) error {
	kinds.Progress(ctx, "half of "+c.Addr)
	if h.begun != nil && c.To != nil {
		h.begun <- c.Addr
	}
	if h.hold != nil && c.To != nil {
		select {
		case <-h.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.there, c.Addr)
	if c.To != nil {
		h.there[c.Addr] = plan.Object{Addr: c.Addr, Attrs: c.To}
	}
	return nil
}

func (h *slow) objects() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.there)
}

// rig is a server for one kind, "resource", without its socket.
type rig struct {
	*Server
	host *slow
	env  state.Env
}

func newRig(t *testing.T) *rig {
	t.Helper()
	h := &slow{there: map[string]plan.Object{}}
	env := state.NewEnv(t.TempDir(), "default", os.Geteuid(), os.Getegid())
	env.Run = t.TempDir()
	s := &Server{Engine: NewEngine(map[string]kinds.Host{"resource": h}, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)}
	s.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { s.timer.Stop() })
	return &rig{s, h, env}
}

// plan is what makes one object, whatever is there.
func (r *rig) plan(t *testing.T) plan.Plan {
	t.Helper()
	return r.planOf(t, 5, false)
}

// planOf is what makes one object of a value, also of what is recorded.
func (r *rig) planOf(t *testing.T, pids int, recorded bool) plan.Plan {
	t.Helper()
	st, err := r.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	now := st.Objects
	if !recorded {
		now = nil
	}
	p := plan.Diff([]plan.Object{plan.NewObject("resource.limits", map[string]int{"pids": pids}, nil)}, st.Objects, now, nil)
	p.Env, p.Lineage, p.Serial = r.env.Name, st.Lineage, st.Serial
	return p
}

// socketPair returns both ends of a connection.
func socketPair(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := func(fd int) *net.UnixConn {
		f := os.NewFile(uintptr(fd), "pair")
		defer func() { _ = f.Close() }()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.UnixConn)
	}
	return conn(fds[0]), conn(fds[1])
}

// dial returns one end of a connection whose other end is served.
func (r *rig) dial(t *testing.T) (*net.UnixConn, <-chan struct{}) {
	t.Helper()
	ours, theirs := socketPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.serve(context.Background(), theirs)
	}()
	t.Cleanup(func() { _ = ours.Close(); <-done })
	return ours, done
}

// ask makes one request and returns the last answer and the events before it.
func (r *rig) ask(t *testing.T, method string, params any) (reply, []wire.Event) {
	t.Helper()
	conn, _ := r.dial(t)
	send(t, conn, method, params)
	return answer(t, conn)
}

func send(t *testing.T, conn *net.UnixConn, method string, params any) {
	t.Helper()
	raw, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.Write(conn, wire.Request{Protocol: wire.Protocol, Method: method, Params: raw}); err != nil {
		t.Fatal(err)
	}
}

// A reply is the last line of an answer.
type reply struct {
	Result json.RawMessage
	Error  *wire.Error
}

func answer(t *testing.T, conn *net.UnixConn) (reply, []wire.Event) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var events []wire.Event
	for reader := wire.NewReader(conn); ; {
		var result json.RawMessage
		resp := wire.Response{Result: &result}
		if err := wire.Read(reader, &resp); err != nil {
			t.Fatalf("read answer: %v", err)
		}
		if resp.Event == nil {
			return reply{result, resp.Error}, events
		}
		events = append(events, *resp.Event)
	}
}

func TestApplyTellsAndAnswers(t *testing.T) {
	r := newRig(t)
	resp, events := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)})
	if resp.Error != nil || string(resp.Result) != `{"serial":1}` {
		t.Fatalf("%s %v", resp.Result, resp.Error)
	}
	var said string
	for _, e := range events {
		said += e.Phase + " " + e.Addr + e.Message + "\n"
	}
	if !strings.Contains(said, "progress half of resource.limits") || r.host.objects() != 1 {
		t.Errorf("events:\n%s%d objects", said, r.host.objects())
	}
	resp, _ = r.ask(t, wire.Look, wire.LookParams{Env: r.env})
	var look wire.LookResult
	if err := json.Unmarshal(resp.Result, &look); err != nil || look.Serial != 1 || len(look.Recorded) != 1 || len(look.Observed) != 1 {
		t.Errorf("look: %+v %v", look, err)
	}
}

// Who asks about what it knows to be recorded is told if the records are others.
func TestLookByRecords(t *testing.T) {
	r := newRig(t)
	if resp, _ := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	st, err := r.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	for serial, known := range map[uint64]bool{st.Serial: true, st.Serial + 1: false} {
		p := wire.LookParams{Env: r.env, Check: true, Lineage: st.Lineage, Serial: serial}.Desire(st.Objects, st.Objects)
		resp, _ := r.ask(t, wire.Look, p)
		var look wire.LookResult
		if err := json.Unmarshal(resp.Result, &look); err != nil || len(p.Kept) != 1 || look.Known != known || (len(look.Recorded) == 1) == known || len(look.Whole(st.Objects).Observed) != 1 {
			t.Errorf("serial %d: %s %v", serial, resp.Result, resp.Error)
		}
	}
}

// A second apply doesn't wait unless it is told to. Who only looks never does: it sees
// the last committed generation, and who is at work.
func TestOneApplyAtATime(t *testing.T) {
	r := newRig(t)
	p := wire.ApplyParams{Env: r.env, Plan: r.plan(t), Caller: wire.Caller{Command: "blast apply", PID: 4711}}
	if resp, _ := r.ask(t, wire.Apply, p); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	r.host.begun, r.host.hold = make(chan string, 1), make(chan struct{})
	p.Plan = r.planOf(t, 6, true)
	first, _ := r.dial(t)
	send(t, first, wire.Apply, p)
	<-r.host.begun
	if resp, _ := r.ask(t, wire.Apply, p); resp.Error == nil || resp.Error.Code != wire.CodeLocked || !strings.Contains(resp.Error.Message, "blast apply (pid 4711") {
		t.Fatalf("second apply: %v %s", resp.Error, resp.Result)
	}
	for range 10 {
		resp, _ := r.ask(t, wire.Look, wire.LookParams{Env: r.env})
		var look wire.LookResult
		if err := json.Unmarshal(resp.Result, &look); err != nil || look.Serial != 1 || look.Busy == nil || look.Busy.Client != 4711 || string(look.Observed[0].Attrs) != `{"pids":5}` {
			t.Fatalf("a plan beside an apply: %s %v", resp.Result, resp.Error)
		}
	}
	look, _ := r.dial(t)
	send(t, look, wire.Look, wire.LookParams{Env: r.env, Caller: wire.Caller{Wait: time.Minute}})
	second, _ := r.dial(t)
	p.Wait = time.Minute
	send(t, second, wire.Apply, p)
	impatient := p
	impatient.Wait = time.Millisecond
	if resp, _ := r.ask(t, wire.Apply, impatient); resp.Error == nil || resp.Error.Code != wire.CodeLocked {
		t.Fatalf("an apply that waits a moment: %v %s", resp.Error, resp.Result)
	}
	close(r.host.hold)
	if resp, _ := answer(t, first); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	resp, _ := answer(t, look)
	if !strings.Contains(string(resp.Result), `"serial":2`) || strings.Contains(string(resp.Result), "busy") {
		t.Errorf("a look that waited: %s %v", resp.Result, resp.Error)
	}
	if resp, _ := answer(t, second); resp.Error == nil || resp.Error.Code != wire.CodeStale {
		t.Errorf("the same plan after a wait: %v %s", resp.Error, resp.Result)
	}
}

// A second cancel ends the undo. The journal stays, and the next look goes on with it.
func TestStopLeavesTheRestToTheNext(t *testing.T) {
	r := newRig(t)
	if resp, _ := r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	r.host.begun, r.host.hold = make(chan string, 2), make(chan struct{})
	conn, _ := r.dial(t)
	send(t, conn, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.planOf(t, 6, true)})
	<-r.host.begun
	say := func(method string) {
		t.Helper()
		if err := wire.Write(conn, wire.Request{Method: method}); err != nil {
			t.Fatal(err)
		}
	}
	say(wire.Cancel)
	<-r.host.begun // the undo
	say(wire.Stop)
	if resp, _ := answer(t, conn); resp.Error == nil || resp.Error.Code != wire.CodeIncomplete {
		t.Fatalf("%v %s", resp.Error, resp.Result)
	}
	close(r.host.hold)
	r.host.begun = nil
	resp, events := r.ask(t, wire.Look, wire.LookParams{Env: r.env})
	if !strings.Contains(string(resp.Result), `"recovered":true`) || !strings.Contains(string(resp.Result), `"attrs":{"pids":5}`) || len(events) == 0 {
		t.Errorf("%s %v", resp.Result, resp.Error)
	}
}

// Half a close is Ctrl-C: what was begun is taken back, and the answer arrives.
// A whole close is a command that died: the same, without anybody to tell.
func TestCancelRollsBack(t *testing.T) {
	for _, whole := range []bool{false, true} {
		r := newRig(t)
		r.host.begun, r.host.hold = make(chan string, 1), make(chan struct{})
		conn, done := r.dial(t)
		send(t, conn, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)})
		<-r.host.begun
		if whole {
			_ = conn.Close()
		} else {
			_ = conn.CloseWrite()
			if resp, _ := answer(t, conn); resp.Error == nil || resp.Error.Code != wire.CodeRolledBack {
				t.Errorf("%v %s", resp.Error, resp.Result)
			}
		}
		<-done
		if st, err := r.env.Load(); err != nil || st.Serial != 0 || r.host.objects() != 0 {
			t.Errorf("whole=%v: serial %d, %d objects, %v", whole, st.Serial, r.host.objects(), err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	r := newRig(t)
	for name, line := range map[string]string{
		"no JSON":               "hello\n",
		"cut off":               `{"protocol":3,`,
		"nothing":               "",
		"binary":                "\x00\xff\x16\x03\n",
		"deep":                  strings.Repeat("[", 100000) + "\n",
		"other version":         `{"protocol":99,"method":"look"}` + "\n",
		"no method":             `{"protocol":3}` + "\n",
		"unknown":               `{"protocol":3,"method":"rm"}` + "\n",
		"no parameters":         `{"protocol":3,"method":"apply"}` + "\n",
		"other types":           `{"protocol":3,"method":"apply","params":{"plan":7}}` + "\n",
		"nothing to look at":    `{"protocol":3,"method":"look","params":null}` + "\n",
		"a folder that depends": `{"protocol":3,"method":"look","params":{"env":{"id":"0123456789ab","name":"a","project":"p","dir":"p/.blast/a","run":"r"}}}` + "\n",
		"a folder above":        `{"protocol":3,"method":"flush","params":{"env":{"id":"0123456789ab","name":"a","project":"/p","dir":"/p/.blast/../..","run":"/r"}}}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, done := r.dial(t)
			_, _ = io.WriteString(conn, line)
			_ = conn.CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("no end")
			}
			if strings.Contains(string(b), `"result"`) {
				t.Errorf("answered: %s", b)
			}
			<-done
		})
	}
	if r.host.objects() != 0 {
		t.Error("a bad request made something")
	}
}

func TestEndlessRequestIsCutOff(t *testing.T) {
	r := newRig(t)
	conn, done := r.dial(t)
	chunk := strings.Repeat("x", 1<<20)
	go func() {
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("still reading")
	}
}

// Whoever connects is asked for by the kernel: only the daemon's own user is
// let in, even when the socket's mode lets everybody through.
func TestStrangersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it connects as somebody else")
	}
	dir, err := os.MkdirTemp("", "blast-daemon-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	ln, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", fi.Mode(), err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	for _, uid := range []uint32{0, 65534} {
		go func() {
			if conn, err := ln.AcceptUnix(); err == nil {
				r.serve(context.Background(), conn)
			}
		}()
		out, err := connectAs(t, uid, path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out, `"result"`); got != (uid == 0) {
			t.Errorf("uid %d gets %q", uid, out)
		}
	}
}

// connectAs says hello as another user.
func connectAs(t *testing.T, uid uint32, path string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "-c", `
import os, socket, sys
os.setresuid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[2])
try:
    s.sendall(b'{"protocol":3,"method":"hello"}\n')
    print(s.makefile().readline())
except OSError as e:
    print(e)
`, strconv.Itoa(int(uid)), path)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A daemon of another installation, or from before an update, says so to those
// that would start another one; those that don't care get their answer.
func TestAnotherInstallation(t *testing.T) {
	r := newRig(t)
	r.Program = "1:2:3"
	for program, want := range map[string]string{"": "", "1:2:3": "", "1:2:4": wire.CodeProtocol} {
		conn, _ := r.dial(t)
		if err := wire.Write(conn, wire.Request{Protocol: wire.Protocol, Method: wire.Hello, Program: program}); err != nil {
			t.Fatal(err)
		}
		code := ""
		if resp, _ := answer(t, conn); resp.Error != nil {
			code = resp.Error.Code
		}
		if code != want {
			t.Errorf("%q: %q, want %q", program, code, want)
		}
	}
	if id := wire.Program(os.Args[0]); id == "" || id != wire.Program("/proc/self/exe") {
		t.Errorf("%q is not this program", id)
	}
}

// Asked to go, a daemon ends what it is applying, and begins nothing else.
func TestShutdownWaitsForApply(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.host.begun, r.host.hold = make(chan string, 1), make(chan struct{})
	apply, _ := r.dial(t)
	send(t, apply, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)})
	<-r.host.begun
	shutdown, _ := r.dial(t)
	send(t, shutdown, wire.Shutdown, nil)
	for !r.isLeaving() {
		runtime.Gosched()
	}
	late, done := r.dial(t)
	send(t, late, wire.Status, nil)
	if ctx.Err() != nil {
		t.Error("it went in the middle of an apply")
	}
	close(r.host.hold)
	if resp, _ := answer(t, apply); resp.Error != nil {
		t.Errorf("the apply: %v", resp.Error)
	}
	if resp, _ := answer(t, shutdown); resp.Error != nil || ctx.Err() == nil {
		t.Errorf("shutdown: %v, %v", resp.Error, ctx.Err())
	}
	_ = late.CloseWrite() // in life its context ends with the daemon
	<-done
	if n := r.host.objects(); n != 1 {
		t.Errorf("%d objects", n)
	}
}
