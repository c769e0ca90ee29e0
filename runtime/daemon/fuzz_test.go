package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot"
)

// FuzzServe: whatever comes over the control socket is answered in bounded words or not
// at all, leaves nothing running, and the records stay those of a whole generation: what
// was refused, or taken back, changed nothing.
//
// An empty line ends a connection. "/@" stands for a folder of the test's own, and "@@"
// for the lineage of what is recorded there.
func FuzzServe(f *testing.F) {
	for _, s := range requests(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 1<<16 {
			return
		}
		base := t.TempDir()
		if err := errors.Join(os.Mkdir(base+"/p", 0o755), os.Mkdir(base+"/run", 0o711)); err != nil {
			t.Fatal(err)
		}
		w := newWhole(t)
		conns := bytes.SplitN(said, []byte("\n\n"), 8)
		for i, conn := range conns {
			if i < len(conns)-1 {
				conn = append(bytes.Clone(conn), '\n')
			}
			w.converse(t, conn, base)
		}
	})
}

// whole is a server whose kinds have files, can be held still, and keep a record.
type whole struct {
	*rig
	files *keeper
	words *slow
	ctx   context.Context
}

func newWhole(t *testing.T) *whole {
	t.Helper()
	files := &keeper{slow: &slow{there: map[string]plan.Object{}}, noted: func() bool { return false }}
	words := &talker{slow: &slow{there: map[string]plan.Object{}}, lines: 3, told: make(chan int, 1<<10)}
	log := slog.New(slog.DiscardHandler)
	s := &Server{
		Engine: NewEngine(map[string]kinds.Host{"resource": files, "network": words}, log), Log: log, Version: "1", Program: "1:2:3",
		Doctor: func(context.Context, string) (any, error) { return struct{}{}, nil },
	}
	s.timer = time.AfterFunc(time.Hour, func() {})
	w := &whole{rig: &rig{Server: s, host: files.slow}, files: files, words: words.slow}
	w.ctx, s.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { s.timer.Stop(); s.stop() })
	return w
}

// converse says something on a connection, to its end, and judges what came of it.
func (w *whole) converse(t *testing.T, said []byte, base string) {
	t.Helper()
	said = bytes.ReplaceAll(said, []byte("/@"), []byte(base))
	method, env, ok := within(said, base)
	if !ok {
		return // it is root's: it could be anywhere
	}
	before := w.generation(env)
	said = bytes.ReplaceAll(said, []byte("@@"), []byte(before.state.Lineage))
	idle := runtime.NumGoroutine()
	heard := w.hear(t, said, method == "" || method == wire.Attend || method == wire.Monitor || w.isLeaving())
	for since := time.Now(); runtime.NumGoroutine() > idle; runtime.Gosched() {
		if time.Since(since) > 10*time.Second {
			t.Fatalf("%d goroutines are left of %d: %q", runtime.NumGoroutine()-idle, idle, said)
		}
	}
	last, n, err := readAnswers(heard)
	if most := 1<<14 + 8*len(said) + 8*before.size; err != nil || len(heard) > most {
		t.Fatalf("%v, %d bytes in %d answers: %q to %q", err, len(heard), n, heard, said)
	}
	after := w.generation(env)
	switch {
	case after.err != nil && before.err == nil:
		t.Errorf("the records can't be read any more: %v; %q to %q", after.err, heard, said)
	case last == nil || last.Error != nil && last.Error.Code != wire.CodeIncomplete && last.Error.Code != wire.CodePartial:
		if last != nil && last.Error.Code == wire.CodeFailed && after.state.Serial == before.state.Serial+1 {
			return // it was committed, and what comes after that failed
		}
		if last != nil && last.Error.Code == wire.CodeRolledBack && !before.startsFrom(said) {
			after.there = before.there // it was taken back to what the plan said was there
		}
		if after.String() != before.String() {
			t.Errorf("%q to %q changed\n%s to\n%s", heard, said, before, after)
		}
	}
}

// hear returns all that is answered. Who is hasty says that it has no more to say, which
// cancels.
func (w *whole) hear(t *testing.T, said []byte, hasty bool) []byte {
	t.Helper()
	ours, theirs := socketPair(t)
	defer func() { _ = ours.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.serve(w.ctx, theirs)
	}()
	go func() {
		_, _ = ours.Write(said) // it may be refused before its end
		if hasty {
			_ = ours.CloseWrite()
		}
	}()
	enough := time.AfterFunc(5*time.Second, func() { _ = ours.CloseWrite() })
	defer enough.Stop()
	_ = ours.SetReadDeadline(time.Now().Add(20 * time.Second))
	heard, err := io.ReadAll(ours)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no end: %q to %q", heard, said)
	}
	<-done
	return heard
}

// A generation is what is recorded of an environment, and what is there.
type generation struct {
	state state.State
	err   error
	size  int
	there []string
}

func (w *whole) generation(env state.Env) (g generation) {
	if env.Dir != "" {
		g.state, g.err = env.Load()
	}
	b, _ := json.Marshal(g.state)
	g.size = len(b)
	for _, h := range []*slow{w.files.slow, w.words} {
		h.mu.Lock()
		for _, o := range h.there {
			g.there = append(g.there, fmt.Sprintf("%s %s", o.Addr, o.Attrs))
		}
		h.mu.Unlock()
	}
	slices.Sort(g.there)
	return g
}

// startsFrom reports whether the plan of a request changes what is there.
func (g generation) startsFrom(said []byte) bool {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	var req wire.Request
	var p wire.ApplyParams
	if json.Unmarshal(line, &req) != nil || json.Unmarshal(req.Params, &p) != nil {
		return true
	}
	seen := map[string]bool{}
	for _, s := range p.Plan.Steps {
		is := slices.Contains(g.there, s.Addr+" "+string(s.From))
		none := !slices.ContainsFunc(g.there, func(o string) bool { return strings.HasPrefix(o, s.Addr+" ") })
		if seen[s.Addr] || !is && (s.From != nil || !none) {
			return false
		}
		seen[s.Addr] = true
	}
	return true
}

func (g generation) String() string {
	b, _ := json.Marshal(g.state.Objects)
	return fmt.Sprintf("serial %d, %s, there %q", g.state.Serial, b, g.there)
}

// within is what a request wants and the environment that it is about, as the server
// reads it, and whether that is the test's own.
func within(said []byte, base string) (method string, env state.Env, ok bool) {
	line, _, whole := bytes.Cut(said, []byte("\n"))
	var req wire.Request
	var p struct {
		Env state.Env `json:"env"`
	}
	if !whole || json.Unmarshal(line, &req) != nil {
		return "", env, true // nobody reads more of it
	}
	if _ = json.Unmarshal(req.Params, &p); p.Env == (state.Env{}) {
		return req.Method, p.Env, true
	}
	for _, path := range []string{p.Env.Project, p.Env.Dir, p.Env.Run} {
		if path != filepath.Clean(path) || !strings.HasPrefix(path, base+"/") {
			return req.Method, p.Env, false
		}
	}
	return req.Method, p.Env, true
}

// readAnswers reads what a server says: any number of events, and then a result or an
// error, which is returned with how many there were.
func readAnswers(heard []byte) (last *wire.Response, n int, err error) {
	for line := range bytes.Lines(heard) {
		if last != nil {
			return last, n, errors.New("more after the last answer")
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var resp wire.Response
		if err := d.Decode(&resp); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			return last, n, errors.Join(err, errors.New("no answer"))
		}
		parts := 0
		for _, is := range []bool{resp.Event != nil, resp.Result != nil, resp.Error != nil} {
			if is {
				parts++
			}
		}
		if parts != 1 {
			return last, n, errors.New("an answer that is not one thing")
		}
		if n++; resp.Event == nil {
			last = &resp
		}
	}
	return last, n, nil
}

// requests are those of a life, and some that are none.
func requests(f *testing.F) []string {
	env := state.NewEnv("/@/p", "default", os.Geteuid(), os.Getegid())
	env.Run = "/@/run/" + env.ID
	line := func(method string, params any) string {
		raw, err := json.Marshal(params)
		if err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(wire.Request{Protocol: wire.Protocol, Method: method, Params: raw})
		if err != nil {
			f.Fatal(err)
		}
		return string(b) + "\n"
	}
	one := plan.NewObject("resource.limits", map[string]int{"pids": 5}, nil)
	two := plan.NewObject("network.policy", map[string]int{"n": 1}, nil)
	change := func(desired, recorded []plan.Object, serial uint64, lineage string) string {
		p := plan.Diff(desired, recorded, recorded, nil)
		p.Env, p.Serial, p.Lineage = env.Name, serial, lineage
		return line(wire.Apply, wire.ApplyParams{Env: env, Plan: p, Caller: wire.Caller{Command: "blast apply", PID: 1}})
	}
	apply := change([]plan.Object{one}, nil, 0, "")
	more := change([]plan.Object{one, two}, []plan.Object{one}, 1, "@@")
	destroy := change(nil, []plan.Object{one, two}, 2, "@@")
	record, err := json.Marshal(snapshot.Record{Version: snapshot.Version, Environment: env.Name, Lineage: "@@", Serial: 1, Objects: []plan.Object{one}})
	if err != nil {
		f.Fatal(err)
	}
	save := line(wire.Save, wire.SaveParams{Env: env, Name: "clean", Record: record, Within: time.Second})
	look := line(wire.Look, wire.LookParams{Env: env, Check: true, Desired: []plan.Object{one, two}})
	records := line(wire.Look, wire.LookParams{Env: env, Records: true, Lineage: "@@", Serial: 1})
	monitor := line(wire.Monitor, wire.MonitorParams{Env: env, Record: "words", Follow: true})
	cancel := `{"method":"cancel"}` + "\n" + `{"method":"stop"}` + "\n"
	all := []string{
		line(wire.Hello, nil), line(wire.Status, nil), line(wire.Survey, nil), line(wire.Doctor, wire.DoctorParams{Dir: "/"}), line(wire.Attend, nil), line(wire.Shutdown, nil),
		look, records, apply, monitor, line(wire.Flush, wire.FlushParams{Env: env}), apply + cancel,
		apply + "\n" + look, apply + "\n" + records, apply + "\n" + save + "\n" + save, apply + "\n" + more + "\n" + destroy, apply + "\n" + more + cancel + "\n" + look,
		apply + "\n" + apply, apply + "\n" + line(wire.Shutdown, nil) + "\n" + look, save, destroy,
		line(wire.Look, wire.LookParams{}), line(wire.Apply, wire.ApplyParams{}), line(wire.Save, wire.SaveParams{Name: "x", Record: record}),
		"hello\n", `{"protocol":2,`, "", "\x00\xff\x16\x03\n", strings.Repeat("[", 20000) + "\n", `{"protocol":99,"method":"look"}` + "\n", `{"protocol":2,"method":"rm"}` + "\n",
		`{"protocol":2,"method":"apply","params":{"plan":7}}` + "\n", `{"protocol":2,"method":"look","params":null}` + "\n", `{"protocol":2,"method":"hello","program":"9"}` + "\n",
	}
	return all
}
