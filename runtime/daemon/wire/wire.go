// Package wire is what blast and blastd say to each other.
//
// One connection to the control socket carries one request. Each message is one
// line of JSON:
//
//	blast  → {"protocol":1,"method":"apply","params":{…}}
//	blastd → {"event":{"phase":"doing","addr":"network.policy"}}   any number
//	blastd → {"result":{…}}  or  {"error":{"code":"locked","message":"…"}}
//
// While it waits blast may send one more line, and another one after that:
//
//	blast  → {"method":"cancel"}    an apply then takes back what it has begun
//	blast  → {"method":"stop"}      and stops even that; the next command goes on with it
//
// Closing the connection cancels, too.
package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/state"
	"blast.example/blast/state/backend"
)

// Protocol is the version of the messages. A daemon that speaks another one is
// asked to go and a new one is started.
const Protocol = 3

// Socket is the control socket; Lock excludes a second daemon.
const (
	Socket = state.RunRoot + "/blastd.sock"
	Lock   = state.RunRoot + "/blastd.lock"
	Log    = state.RunRoot + "/blastd.log"
)

// maxLine bounds one message: a plan with thousands of packages is some MiB.
const maxLine = 64 << 20

// Methods.
const (
	Hello    = "hello"    // → HelloResult
	Look     = "look"     // LookParams → LookResult
	Apply    = "apply"    // ApplyParams → ApplyResult
	Status   = "status"   // → StatusResult
	Save     = "save"     // SaveParams → SaveResult
	Survey   = "survey"   // SurveyParams → SurveyResult
	Hold     = "hold"     // HoldParams → HoldResult: nothing runs any more
	Release  = "release"  // ReleaseParams → HoldResult: all goes on
	Kill     = "kill"     // KillParams → KillResult
	Changes  = "changes"  // ChangesParams → ChangesResult: what commands wrote over the project
	Take     = "take"     // TakeParams → TakeResult: it becomes the project's
	Discard  = "discard"  // TakeParams → TakeResult: it goes
	Monitor  = "monitor"  // MonitorParams → {}: what is on record comes as events of phase Reported
	Flush    = "flush"    // FlushParams → {}: what was denied until now is on record
	Doctor   = "doctor"   // DoctorParams → hostinfo.Facts
	Attend   = "attend"   // no answer until the daemon goes: tells a caller that it died
	Shutdown = "shutdown" // → {}

	Cancel = "cancel" // of the request before it on the connection; no answer
	Stop   = "stop"
)

// Request is the first line of a connection.
type Request struct {
	Protocol int    `json:"protocol"`
	Method   string `json:"method"`

	// Program is the identity of the blastd that the sender would start; "" is any.
	// One of another installation, or from before an update, is asked to go: what
	// it finds beside itself, such as PID 1's program, may be gone.
	Program string `json:"program,omitempty"`

	Params json.RawMessage `json:"params,omitempty"`
}

// Program is the identity of a program file: as long as it is the same, so is the
// file. It is "" for one that isn't there.
func Program(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st := fi.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // what Stat returns on Linux
	return fmt.Sprintf("%d:%d:%d", st.Dev, st.Ino, st.Mtim.Nano())
}

// Response is every line of the answer. The last one has a Result or an Error.
type Response struct {
	Event  *Event `json:"event,omitempty"`
	Result any    `json:"result,omitempty"` // who reads puts a pointer there first
	Error  *Error `json:"error,omitempty"`
}

// Event tells what a long request is doing.
type Event struct {
	Phase   string `json:"phase"` // see apply.Phase; "progress", "recovered" and Passed beside them
	Addr    string `json:"addr,omitempty"`
	Message string `json:"message,omitempty"`

	Line json.RawMessage `json:"line,omitempty"` // of Reported
}

// Reported is the phase of a line of a record; see kinds.Monitor.
const Reported = "reported"

// Passed is the phase of a check that succeeded; the message is how long it took: "0.3s".
const Passed = "passed"

// Codes of errors.
const (
	CodeFailed     = "failed"      // nothing was changed
	CodeRolledBack = "rolled-back" // an apply failed and was taken back
	CodeIncomplete = "incomplete"  // an apply failed and could not be taken back entirely
	CodePartial    = "partial"     // an apply failed, and what it had done was kept as was asked
	CodeLocked     = "locked"
	CodeStale      = "stale" // the plan was made from another state
	CodeProtocol   = "protocol"
)

// Error is a failed request.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // what to do about it, where that is known
	Addr    string `json:"addr,omitempty"`   // the change that failed
	Undone  int    `json:"undone,omitempty"` // changes taken back
	Kept    int    `json:"kept,omitempty"`   // changes kept
	Total   int    `json:"total,omitempty"`  // changes of the plan
}

func (e *Error) Error() string { return e.Message }

// HelloResult says who answers.
type HelloResult struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
}

// LookParams asks for an environment's records and what is really there.
type LookParams struct {
	Env     state.Env     `json:"env"`
	Desired []plan.Object `json:"desired,omitempty"` // checked against what this host can do
	Check   bool          `json:"check,omitempty"`
	Records bool          `json:"records,omitempty"` // only recover and read the records
	Blind   bool          `json:"blind,omitempty"`   // don't observe: take the records for what is there

	// Lineage and Serial say which records the caller has already. If they are still
	// those, the answer has them not again, nor what is observed as it is recorded. Kept
	// are the addresses of what is desired as it is recorded there, which Desired leaves
	// out. If the records are others, the answer has them, and nothing was checked.
	Lineage string   `json:"lineage,omitempty"`
	Serial  uint64   `json:"serial,omitempty"`
	Kept    []string `json:"kept,omitempty"`
	Caller
}

// Desire asks about these objects, by what the caller knows to be recorded.
func (p LookParams) Desire(desired, recorded []plan.Object) LookParams {
	was := attrsOf(recorded)
	p.Desired, p.Kept = nil, nil
	for _, o := range desired {
		if attrs, known := was[o.Addr]; known && p.Serial != 0 && bytes.Equal(attrs, o.Attrs) {
			p.Kept = append(p.Kept, o.Addr)
		} else {
			p.Desired = append(p.Desired, plan.Object{Addr: o.Addr, Attrs: o.Attrs}) // what explains it is most of it
		}
	}
	return p
}

// Whole is all that is desired, and whether that is known: recorded is what there is
// where the question arrives.
func (p LookParams) Whole(lineage string, serial uint64, recorded []plan.Object) ([]plan.Object, bool) {
	if len(p.Kept) == 0 {
		return p.Desired, true
	}
	was := attrsOf(recorded)
	all := slices.Clone(p.Desired)
	for _, addr := range p.Kept {
		attrs, known := was[addr]
		if !known || p.Serial != serial || p.Lineage != lineage {
			return nil, false
		}
		all = append(all, plan.Object{Addr: addr, Attrs: attrs})
	}
	return all, true
}

func attrsOf(objs []plan.Object) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(objs))
	for _, o := range objs {
		m[o.Addr] = o.Attrs
	}
	return m
}

// A Caller is the command that asks, as others see it that it locks out.
type Caller struct {
	Command string        `json:"command,omitempty"` // "blast apply"
	PID     int           `json:"pid,omitempty"`
	Wait    time.Duration `json:"wait,omitempty"` // how long to wait for another command that changes the environment, in nanoseconds
}

// LookResult is the answer to Look.
type LookResult struct {
	Lineage   string         `json:"lineage"`
	Serial    uint64         `json:"serial"`
	Keep      int            `json:"keep"` // generations that the history keeps
	Recorded  []plan.Object  `json:"recorded"`
	Observed  []plan.Object  `json:"observed"`
	Known     bool           `json:"known,omitempty"` // see Brief: the records are those that the caller has
	Same      []string       `json:"same,omitempty"`  // addresses of what is observed as it is recorded
	Problems  []plan.Problem `json:"problems"`
	Recovered bool           `json:"recovered"` // a dead apply was finished or taken back first

	Expires time.Time     `json:"expires,omitzero"` // when it is destroyed by itself
	Phases  []state.Phase `json:"phases,omitempty"` // the last ones, in order

	// Assumed are the addresses of what there may be where records were lost.
	Assumed []string `json:"assumed,omitempty"`

	// Busy is who changes the environment right now; nil is nobody. Then what is
	// recorded is the last committed generation, and stands for what is observed, too.
	Busy *backend.Holder `json:"busy,omitempty"`

	// Witnessed is how objects came to differ from the records, by address, as far as
	// that is known: see kinds.Witness.
	Witnessed map[string]string `json:"witnessed,omitempty"`
}

// Brief leaves out what the caller of p has already.
func (r LookResult) Brief(p LookParams) LookResult {
	if p.Serial == 0 || p.Serial != r.Serial || p.Lineage != r.Lineage {
		return r
	}
	was := attrsOf(r.Recorded)
	r.Known, r.Recorded = true, nil
	all := r.Observed
	r.Observed = nil
	for _, o := range all {
		if attrs, known := was[o.Addr]; known && bytes.Equal(attrs, o.Attrs) {
			r.Same = append(r.Same, o.Addr)
		} else {
			r.Observed = append(r.Observed, o)
		}
	}
	return r
}

// Whole is the answer with what Brief left out, which recorded has.
func (r LookResult) Whole(recorded []plan.Object) LookResult {
	if !r.Known {
		return r
	}
	r.Recorded = recorded
	for _, o := range recorded {
		if slices.Contains(r.Same, o.Addr) {
			r.Observed = append(r.Observed, plan.Object{Addr: o.Addr, Attrs: o.Attrs})
		}
	}
	r.Known, r.Same = false, nil
	return r
}

// ApplyParams asks for a plan to be carried out.
type ApplyParams struct {
	Env     state.Env `json:"env"`
	Plan    plan.Plan `json:"plan"`
	Secrets Secrets   `json:"secrets,omitzero"`

	KeepPartial bool `json:"keep_partial,omitempty"` // of an apply that fails keep what was done
	Caller
}

// ApplyResult is the answer to Apply.
type ApplyResult struct {
	Serial uint64 `json:"serial"`
}

// SaveParams asks for a snapshot of an environment.
type SaveParams struct {
	Env  state.Env `json:"env"`
	Name string    `json:"name"`
	// Record is a snapshot.Record of the state that the sender has seen: CodeStale if
	// it is another by now.
	Record  json.RawMessage `json:"record"`
	Replace bool            `json:"replace,omitempty"` // also if the name is taken
	Within  time.Duration   `json:"within"`            // for how long commands may stand still
	Caller
}

// SaveResult is the answer to Save.
type SaveResult struct {
	Digest  string        `json:"digest"`
	Size    int64         `json:"size"`    // bytes of the compressed layer
	Bytes   int64         `json:"bytes"`   // of its files
	Entries int64         `json:"entries"` // its files, folders and links
	Sockets int64         `json:"sockets"` // left out
	Frozen  time.Duration `json:"frozen"`  // for how long commands stood still
	Shared  bool          `json:"shared"`  // the copy shared its blocks with the layer
	Copied  int64         `json:"copied"`  // bytes that were copied while they stood still
}

// ChangesParams asks what commands wrote over the project.
type ChangesParams struct {
	Env     state.Env `json:"env"`
	Paths   []string  `json:"paths,omitempty"`   // relative to the workspace; none is all
	Content bool      `json:"content,omitempty"` // also the bytes of files that are not large
	Caller
}

// ChangesResult is the answer to Changes.
type ChangesResult struct {
	Changes []overlay.Change `json:"changes"`
	None    []string         `json:"none,omitempty"` // paths without any
}

// TakeParams asks for changes to be taken over, or discarded.
type TakeParams struct {
	Env    state.Env     `json:"env"`
	Paths  []string      `json:"paths,omitempty"`
	Digest string        `json:"digest"`          // of what was shown: CodeStale if it is something else by now
	Force  bool          `json:"force,omitempty"` // also what is doubtful, or was changed in the project, too
	Within time.Duration `json:"within"`          // for how long commands may stand still
	Caller
}

// TakeResult is the answer to Take and Discard.
type TakeResult struct {
	Changes int           `json:"changes"`
	Stay    int           `json:"stay,omitempty"` // in the layer, though they are the project's
	Frozen  time.Duration `json:"frozen"`
}

// FlushParams asks for the records of an environment to be complete.
type FlushParams struct {
	Env state.Env `json:"env"`
}

// MonitorParams asks for a record of what happens in an environment.
type MonitorParams struct {
	Env    state.Env `json:"env"`
	Record string    `json:"record"` // its name: traffic.Record
	Follow bool      `json:"follow,omitempty"`
}

// StatusResult lists what the daemon looks after.
type StatusResult struct {
	PID          int         `json:"pid"`
	RSS          int64       `json:"rss"` // bytes of resident memory
	Environments []state.Env `json:"environments"`
}

// HoldParams asks for an environment to stand still.
type HoldParams struct {
	Env  state.Env  `json:"env"`
	Hold state.Hold `json:"hold"`
	Caller
}

// ReleaseParams asks for one to go on.
type ReleaseParams struct {
	Env   state.Env `json:"env"`
	Force bool      `json:"force,omitempty"` // also while the reason of the hold is there
	Caller
}

// HoldResult is the answer to Hold and Release.
type HoldResult struct {
	Was *state.Hold `json:"was,omitempty"` // what held it before; nil if it ran
}

// KillParams asks for a signal to all commands of an environment.
type KillParams struct {
	Env    state.Env      `json:"env"`
	Signal syscall.Signal `json:"signal"`
	Caller
}

// KillResult is the answer to Kill.
type KillResult struct {
	Processes int         `json:"processes"` // that got the signal
	Was       *state.Hold `json:"was,omitempty"`
}

// SurveyParams asks what is on this host.
type SurveyParams struct {
	ID string `json:"id,omitempty"` // only the environment with this id
}

// SurveyResult lists what is on this host, of whichever project.
type SurveyResult struct {
	Environments []Found `json:"environments"`
}

// Found is one environment that has something on this host.
type Found struct {
	Claim  state.Claim  `json:"claim"`
	Now    state.Env    `json:"now"`              // where it is by now; with Orphan in its run folder
	Orphan string       `json:"orphan,omitempty"` // why nobody has records of it
	Vitals state.Vitals `json:"vitals"`
}

// DoctorParams asks for probes of the host; Dir is where state would be kept.
type DoctorParams struct {
	Dir string `json:"dir"`
}

// About is the environment that the request is about.
func (p LookParams) About() state.Env { return p.Env }

// About is LookParams.About.
func (p ApplyParams) About() state.Env { return p.Env }

// About is LookParams.About.
func (p SaveParams) About() state.Env { return p.Env }

// About is LookParams.About.
func (p ChangesParams) About() state.Env { return p.Env }

// About implements the check of each request.
func (p TakeParams) About() state.Env { return p.Env }

// About implements the check of each request.
func (p FlushParams) About() state.Env { return p.Env }

// About is LookParams.About.
func (p MonitorParams) About() state.Env { return p.Env }

// Write sends one message.
func Write(w io.Writer, v any) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Encode is a message as it is sent.
func Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return append(b, '\n'), nil
}

// ErrTooLong is a message beyond all bounds.
var ErrTooLong = errors.New("message is longer than 64 MiB")

// NewReader returns a reader for Read.
func NewReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

// Read receives one message into v. io.EOF means that the peer closed cleanly.
func Read(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return ErrTooLong
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode message: %w", err)
	}
	return nil
}
