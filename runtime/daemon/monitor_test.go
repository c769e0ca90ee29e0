package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// talker is a kind that keeps a record of so many lines, and then waits.
type talker struct {
	*slow
	lines int
	told  chan int // how many were told when a call ends
}

func (*talker) Records() []string { return []string{"words"} }

func (h *talker) Monitor(ctx context.Context, _ state.Env, a kinds.Asking, tell func(json.RawMessage) error) error {
	n := 0
	defer func() { h.told <- n }()
	for ; n < h.lines; n++ {
		if err := tell(json.RawMessage(fmt.Sprintf(`{"type":"word","n":%d,"fill":%q}`, n, strings.Repeat("x", 1000)))); err != nil {
			return err
		}
	}
	if a.Follow {
		<-ctx.Done()
	}
	return nil
}

func newTalker(t *testing.T, lines int) (*rig, *talker) {
	t.Helper()
	r := newRig(t)
	h := &talker{r.host, lines, make(chan int, 1)}
	r.Engine.hosts["resource"] = h
	return r, h
}

func TestMonitorTellsARecord(t *testing.T) {
	r, _ := newTalker(t, 5)
	resp, events := r.ask(t, wire.Monitor, wire.MonitorParams{Env: r.env, Record: "words"})
	if resp.Error != nil || len(events) != 5 || events[4].Phase != wire.Reported || !strings.HasPrefix(string(events[4].Line), `{"type":"word","n":4,`) {
		t.Errorf("%+v, %d events", resp, len(events))
	}
	if resp, _ := r.ask(t, wire.Monitor, wire.MonitorParams{Env: r.env, Record: "other"}); resp.Error == nil || !strings.Contains(resp.Error.Message, `"other"`) {
		t.Errorf("a record that nobody keeps: %+v", resp)
	}
}

// A reader needs no turn: it sees what goes on while somebody changes the environment.
func TestMonitorDuringAnApply(t *testing.T) {
	r, _ := newTalker(t, 1)
	r.host.begun, r.host.hold = make(chan string, 1), make(chan struct{})
	apply, _ := r.dial(t)
	send(t, apply, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)})
	<-r.host.begun
	resp, events := r.ask(t, wire.Monitor, wire.MonitorParams{Env: r.env, Record: "words"})
	if resp.Error != nil || len(events) != 1 {
		t.Errorf("%+v, %d events", resp, len(events))
	}
	close(r.host.hold)
	if resp, _ := answer(t, apply); resp.Error != nil {
		t.Error(resp.Error)
	}
}

// One that doesn't read holds nobody, and is left when it goes or the daemon does.
func TestMonitorOfAReaderThatDoesntRead(t *testing.T) {
	r, h := newTalker(t, 1<<20)
	conn, done := r.dial(t)
	send(t, conn, wire.Monitor, wire.MonitorParams{Env: r.env, Record: "words", Follow: true})
	if resp, _ := r.ask(t, wire.Hello, nil); resp.Error != nil {
		t.Error(resp.Error)
	}
	if err := conn.CloseWrite(); err != nil { // as when its process is stopped, and then killed
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the daemon waits for it")
	}
	if n := <-h.told; n == h.lines {
		t.Error("everything was told: the reader read")
	}
}

// Ctrl-C ends what is followed, without an error.
func TestMonitorIsCancelled(t *testing.T) {
	r, h := newTalker(t, 3)
	conn, _ := r.dial(t)
	send(t, conn, wire.Monitor, wire.MonitorParams{Env: r.env, Record: "words", Follow: true})
	if err := wire.Write(conn, wire.Request{Method: wire.Cancel}); err != nil {
		t.Fatal(err)
	}
	if resp, _ := answer(t, conn); resp.Error != nil {
		t.Errorf("%+v", resp)
	}
	<-h.told
}
