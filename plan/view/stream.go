package view

import (
	"fmt"
	"io"
	"sync"

	"blast.example/blast/plan"
)

// UIVersion is the version of Terraform's machine-readable UI whose names the
// stream has.
const UIVersion = "1.2"

// A Stream tells what a command does as lines of JSON, in the names of Terraform's
// machine-readable UI but without its time stamps. After an error of the writer it
// is silent; Err returns that. Its methods may be called by several goroutines.
// Source: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
type Stream struct {
	mu      sync.Mutex
	w       io.Writer
	err     error
	plan    plan.Plan
	actions map[string]plan.Action
}

// An Event is a type of line that tells of one object while a plan is carried out.
type Event string

// The events. Terraform has no name for the last five: it takes nothing back.
const (
	ApplyStart       Event = "apply_start"
	ApplyProgress    Event = "apply_progress"
	ApplyComplete    Event = "apply_complete"
	ApplyErrored     Event = "apply_errored"
	RollbackStart    Event = "rollback_start"
	RollbackComplete Event = "rollback_complete"
	CheckStart       Event = "check_start" // all is applied, and checked before it counts
	CheckComplete    Event = "check_complete"
	Committed        Event = "committed"
)

type line struct {
	Level   string `json:"@level"`
	Message string `json:"@message"`
	Module  string `json:"@module"`

	Blast      string            `json:"blast,omitempty"`
	Change     *streamChange     `json:"change,omitempty"`
	Changes    *changes          `json:"changes,omitempty"`
	Diagnostic *Diagnostic       `json:"diagnostic,omitempty"`
	Hook       *hook             `json:"hook,omitempty"`
	Outputs    map[string]Output `json:"outputs,omitempty"`
	Type       string            `json:"type"`
	UI         string            `json:"ui,omitempty"`
}

type address struct {
	Addr     string  `json:"addr"`
	Module   string  `json:"module"`
	Resource string  `json:"resource"`
	Provider string  `json:"implied_provider"`
	Type     string  `json:"resource_type"`
	Name     string  `json:"resource_name"`
	Key      *string `json:"resource_key"`
}

type streamChange struct {
	Resource address     `json:"resource"`
	Action   plan.Action `json:"action"`
	Reason   string      `json:"reason,omitempty"`
	Blast    stepExtra   `json:"blast"`
}

type hook struct {
	Resource address     `json:"resource"`
	Action   plan.Action `json:"action"`
}

// changes are Terraform's counts, and what a plan is about and came to.
type changes struct {
	Add       int    `json:"add"`
	Change    int    `json:"change"`
	Import    int    `json:"import"`
	Remove    int    `json:"remove"`
	Operation string `json:"operation"` // plan, apply or destroy

	Wider       int         `json:"wider"`
	Narrower    int         `json:"narrower"`
	Drift       int         `json:"drift"` // objects that others changed since the last apply
	Environment string      `json:"environment"`
	Mode        plan.Mode   `json:"mode"`
	Of          string      `json:"of,omitempty"`
	Scope       *plan.Scope `json:"scope,omitempty"`
	Serial      uint64      `json:"serial"` // of the state: what the plan was made from, or what came of it
	Digest      string      `json:"digest,omitempty"`
}

// NewStream begins a stream with a line about the version of blast.
func NewStream(w io.Writer, version string) *Stream {
	s := &Stream{w: w}
	s.write(line{Message: "Blast " + version, Type: "version", Blast: version, UI: UIVersion})
	return s
}

// Err is why the stream ended early.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Stream) write(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if l.Level == "" {
		l.Level = "info"
	}
	l.Message, l.Module = oneLine(l.Message), Module
	b, err := Encode(l, "")
	if err == nil {
		_, err = s.w.Write(append(b, '\n'))
	}
	s.err = err
}

// Follow makes the plan known whose events are told, without telling of it.
func (s *Stream) Follow(p plan.Plan) {
	s.plan, s.actions = p, map[string]plan.Action{}
	for _, st := range p.Steps {
		s.actions[st.Addr] = st.Action
	}
}

// Plan tells what others changed, what is planned, and how much that is. Digest is
// the plan's, where it is known.
func (s *Stream) Plan(p plan.Plan, digest string) {
	s.Follow(p)
	for _, d := range p.Drift {
		s.write(line{
			Message: fmt.Sprintf("%s: Drift detected (%s)", d.Addr, d.Action), Type: "resource_drift",
			Change: &streamChange{Resource: addressOf(d.Addr), Action: d.Action, Blast: extraOf(d)},
		})
	}
	for _, st := range p.Steps {
		s.write(line{
			Message: fmt.Sprintf("%s: Plan to %s", st.Addr, st.Action), Type: "planned_change",
			Change: &streamChange{Resource: addressOf(st.Addr), Action: st.Action, Reason: streamReason[reason(p, st)], Blast: extraOf(st)},
		})
	}
	c := s.summary("plan")
	c.Digest = digest
	s.write(line{Message: planned(p.Counts()), Type: "change_summary", Changes: c})
}

func (s *Stream) summary(operation string) *changes {
	p, n := s.plan, s.plan.Counts()
	c := &changes{
		Add: n.Add, Change: n.Change, Remove: n.Destroy, Operation: operation, Wider: n.Wider, Narrower: n.Narrow, Drift: len(p.Drift),
		Environment: p.Env, Mode: p.Mode, Of: p.Of, Serial: p.Serial,
	}
	if !p.Scope.Whole() {
		c.Scope = &p.Scope
	}
	return c
}

// Event tells what happens to an object of the plan, or to all of it where addr is
// empty.
func (s *Stream) Event(e Event, addr, message string) {
	l := line{Type: string(e), Message: tale(e, addr, s.actions[addr], message)}
	if e == ApplyErrored {
		l.Level = "error"
	}
	if addr != "" {
		action := s.actions[addr]
		if action == "" {
			action = "noop" // Terraform's word for it in a stream
		}
		l.Hook = &hook{addressOf(addr), action}
	}
	s.write(l)
	if e == ApplyErrored {
		s.Diagnostic(Diagnostic{Severity: "error", Summary: "A change failed", Detail: message, Address: addr})
	}
}

// tale is an event in Terraform's words, where it has them.
func tale(e Event, addr string, a plan.Action, message string) string {
	doing := map[plan.Action]string{plan.Create: "Creating", plan.Update: "Modifying", plan.Replace: "Replacing", plan.Delete: "Destroying"}[a]
	noun := map[plan.Action]string{plan.Create: "Creation", plan.Update: "Modifications", plan.Replace: "Replacement", plan.Delete: "Destruction"}[a]
	if a == "" {
		doing, noun = "Applying", "Apply"
	}
	said := map[Event]string{
		ApplyStart: doing + "...", ApplyProgress: message, ApplyComplete: noun + " complete", ApplyErrored: noun + " errored",
		RollbackStart: "Taking back...", RollbackComplete: "Taken back", CheckStart: "Checking what was applied...", CheckComplete: "Passed", Committed: "Committed",
	}[e]
	if addr == "" {
		return said
	}
	return addr + ": " + said
}

// Diagnostic tells of something that is wrong.
func (s *Stream) Diagnostic(d Diagnostic) {
	l := line{Level: "error", Message: "Error: " + d.Summary, Type: "diagnostic", Diagnostic: &d}
	if d.Severity == "warning" {
		l.Level, l.Message = "warn", "Warning: "+d.Summary
	}
	s.write(l)
}

// Log tells what has no type of its own.
func (s *Stream) Log(message string) { s.write(line{Message: message, Type: "log"}) }

// Applied ends a stream whose plan was carried out: verb is "Apply", "Destroy" or
// "Rollback", serial that of the new state.
func (s *Stream) Applied(verb string, serial uint64, outputs map[string]Output) {
	operation := "apply"
	if s.plan.Mode == plan.Destroy {
		operation = "destroy"
	}
	c := s.summary(operation)
	c.Serial = serial
	if len(outputs) > 0 {
		s.write(line{Message: "Outputs: " + fmt.Sprint(len(outputs)), Type: "outputs", Outputs: outputs})
	}
	s.write(line{Message: Complete(verb, s.plan.Counts()), Type: "change_summary", Changes: c})
}

// Complete is Terraform's last line, which tools parse.
func Complete(verb string, n plan.Counts) string {
	return fmt.Sprintf("%s complete! Resources: %d added, %d changed, %d destroyed.", verb, n.Add, n.Change, n.Destroy)
}
