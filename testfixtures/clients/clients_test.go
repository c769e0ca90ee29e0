package clients

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	atOnce   = 2 * time.Second  // a refusal takes no longer than this, beside what the client takes to start
	silence  = 65 * time.Second // longer than most servers and middleboxes wait; those here wait on
	tries    = 3                // until one is refused at once
	patience = 2 * time.Minute  // for whatever a client does, on a loaded machine
)

// TestClients is all that this package is for.
func TestClients(t *testing.T) {
	w := newWorld(t)
	present := w.present()
	idle := w.silent(present)
	for _, c := range present {
		t.Run(c.name, func(t *testing.T) {
			w.everything(t, c)
			w.refusal(t, c)
		})
	}
	idle()
	w.cut(present)
}

// present are the clients that are installed. The others are skipped, by name.
func (w *world) present() []client {
	return slices.DeleteFunc(clients(), func(c client) bool {
		why := c.missing()
		if why != "" {
			w.t.Run(c.name, func(t *testing.T) { t.Skipf("%s is not installed: make clients", why) })
		}
		return why != ""
	})
}

// everything has the client do all that it can.
func (w *world) everything(t *testing.T, c client) {
	args := []string{"all"}
	if c.http {
		args = append(args, "https://"+fourName, "http://"+fourName, "https://"+bothName, "https://"+sixName)
	}
	out, err := output(w.run(c, args...))
	if err != nil {
		t.Errorf("%v", err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(out) {
		said[strings.TrimSpace(line)] = true
	}
	for _, task := range c.tasks {
		if !said["ok "+task] {
			t.Errorf("%s doesn't work", task)
		}
	}
	if t.Failed() || strings.Contains(out, "WRONG") {
		t.Errorf("it said:\n%s", out)
	}
}

// refusal asks for a host that no rule names. To start the client takes as long as with
// one that a rule names, more or less: on a loaded machine the best of some tries tells.
func (w *world) refusal(t *testing.T, c client) {
	if c.http {
		w.inWords(t, c)
	}
	for try := range tries {
		allowed, out, err := timed(w.run(c, "get", c.allowed))
		if err != nil {
			t.Errorf("get %s: %v\n%s", c.allowed, err, out)
		}
		took, out, err := timed(w.run(c, "get", "https://"+forbiddenName+c.path()))
		if err == nil || !strings.Contains(out, c.refused) {
			t.Errorf("refused, it says (%v, want %q):\n%s", err, c.refused, out)
		}
		t.Logf("refused in %v (allowed: %v): %s", took.Round(time.Millisecond), allowed.Round(time.Millisecond), last(out))
		if took <= allowed+atOnce {
			return
		}
		if try == tries-1 {
			t.Errorf("it was refused only after %v; what is allowed took %v", took, allowed)
		}
	}
}

// timed runs a command, and says how long it took.
func timed(cmd *exec.Cmd) (time.Duration, string, error) {
	began := time.Now()
	out, err := output(cmd)
	return time.Since(began), out, err
}

// inWords asks for the same without TLS, where a refusal is an answer.
func (w *world) inWords(t *testing.T, c client) {
	out, _ := output(w.run(c, "get", "http://"+forbiddenName+"/hello"))
	if said, _, _ := strings.Cut(out, "\nblast: denied"); !strings.Contains(said, "403") && !strings.Contains(said, "refused by the sandbox") {
		t.Errorf("refused without TLS, it says:\n%s", out)
	}
}

// path is "" for clients that want a host.
func (c client) path() string {
	if c.http {
		return "/hello"
	}
	return ""
}

// silent has the clients keep a connection that says nothing for a while, and returns what waits for
// them.
func (w *world) silent(present []client) (wait func()) {
	var wg sync.WaitGroup
	for _, c := range present {
		if !c.idles {
			continue
		}
		args := []string{"idle", fmt.Sprint(int(silence.Seconds()))}
		if c.http {
			args = append(args, "https://"+fourName, "http://"+fourName)
		}
		wg.Go(func() {
			if out, err := output(w.run(c, args...)); err != nil || !strings.Contains(out, "ok idle") {
				w.t.Errorf("%s: after %v of silence: %v\n%s", c.name, silence, err, out)
			}
		})
	}
	return wg.Wait
}

// A holder is a client with an open connection.
type holder struct {
	client
	cmd  *exec.Cmd
	said *speech
	gone chan error
}

// cut removes the rule that clients have connections by.
func (w *world) cut(present []client) {
	var all []*holder
	for _, c := range present {
		h := &holder{client: c, cmd: w.run(c, "hold", c.hold), said: &speech{w: w}, gone: make(chan error, 1)}
		h.cmd.Stdout, h.cmd.Stderr = h.said, h.said
		w.try(h.cmd.Start())
		go func() { h.gone <- h.cmd.Wait() }()
		w.t.Cleanup(func() { _ = h.cmd.Process.Kill() })
		all = append(all, h)
	}
	for _, h := range all {
		if !w.holds(h) {
			w.t.Fatalf("%s has no connection to lose:\n%s", h.name, h.said)
		}
	}
	w.write("")
	w.apply()
	end := time.After(patience)
	for _, h := range all {
		select {
		case err := <-h.gone:
			if err == nil || !regexp.MustCompile(h.cut).MatchString(h.said.String()) {
				w.t.Errorf("%s: the rule has gone, and it says (%v, want %q):\n%s", h.name, err, h.cut, h.said)
			}
			w.t.Logf("%s: cut: %s", h.name, last(h.said.String()))
		case <-end:
			w.t.Errorf("%s: the rule has gone, and its connection is still there:\n%s", h.name, h.said)
		}
	}
}

// holds waits until a client has its connection: its server or it says so.
func (w *world) holds(h *holder) bool {
	end := time.Now().Add(patience)
	late := time.AfterFunc(patience, w.begun.Broadcast)
	defer late.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	_, who, _ := strings.Cut(h.hold, cutName+"/")
	who, _, _ = strings.Cut(who, "/")
	for !w.held[who] && !strings.Contains(h.said.b.String(), "holds") {
		if time.Now().After(end) {
			return false
		}
		w.begun.Wait()
	}
	return true
}

// speech is what a client said so far. Its world is told.
type speech struct {
	w *world
	b bytes.Buffer // w.mu guards it
}

func (s *speech) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.begun.Broadcast()
	return s.b.Write(p)
}

func (s *speech) String() string {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return strings.ReplaceAll(s.b.String(), "holds\n", "")
}

// last is the last line of what a client said, before what Blast says.
func last(said string) string {
	said, _, _ = strings.Cut(said, "\nblast: denied")
	said = strings.TrimSpace(said)
	return said[strings.LastIndex(said, "\n")+1:]
}

// output is all that a command says, bounded in time.
func output(cmd *exec.Cmd) (string, error) {
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	out, err := cmd.CombinedOutput()
	return string(out), err
}
