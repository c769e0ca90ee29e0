// Package traffic is the record of what an environment's network did: which
// connections were made, by whom, where to, how much went through and how they
// ended, and which names were asked for. Package ledger writes it, the command
// line reads it. What was refused is on record in package denial.
//
// On disk a line is one JSON object, and its type says which. A connection has a
// line when it is open, perhaps one more when it is known who made it, and one
// when it has ended: what the last line of an ID says holds.
package traffic

import (
	"net"
	"strconv"
	"time"

	"blast.example/blast/runtime/network/denial"
)

// Files of the record in the run folder of an environment. When File is full it
// takes the place of OldFile.
const (
	File    = "traffic.ndjson"
	OldFile = "traffic.old.ndjson"
)

// Record is the name under which the daemon is asked for all of it; see
// kinds.Monitor.
const Record = "connections"

// Types of lines.
const (
	TypeConnection = "connection"
	TypeQuestion   = "question"
	TypeDenial     = "denial" // a denial.Denial; never in File
	TypeTotals     = "totals"
	TypeMissed     = "missed" // never in File
)

// States of a connection.
const (
	Open   = "open"
	Closed = "closed"
)

// Ways of a connection.
const (
	Out = "out" // a process in the sandbox made it
	In  = "in"  // to a port that is published, or open to another environment
)

// How a connection ended.
const (
	ByClient    = "client"      // whoever made it ended it
	ByServer    = "server"      // the other side did
	ByPolicy    = "policy"      // a rule was narrowed, or expired
	Refused     = "refused"     // for something else than it was opened for
	ByLimit     = "limit"       // a quota was used up, or fewer may be open now
	TimedOut    = "timeout"     // nobody said anything for too long
	Unreachable = "unreachable" // there was no other side
	WithDaemon  = "daemon"      // blastd ended, and with it all that it relayed
)

// Why a process is not known.
const (
	Unasked = "not looked up" // too many connections at once
	Gone    = "gone"          // it had closed the socket, or ended, when it was looked for
)

// A Process is who made a connection, or whose server got it. Command, Script
// and Where the sandbox chose.
type Process struct {
	PID     int     `json:"pid,omitempty"`      // as the sandbox counts
	HostPID int     `json:"host_pid,omitempty"` // as the host counts
	UID     *uint32 `json:"uid,omitempty"`      // on the host
	Command string  `json:"command,omitempty"`  // comm, at most 15 bytes
	Script  string  `json:"script,omitempty"`   // the Python file that it runs
	Where   string  `json:"where,omitempty"`    // the line of Python that did it, file:line, where the interpreter tells
	Unknown string  `json:"unknown,omitempty"`  // why nothing is known: Unasked or Gone
}

// A Connection is one that a rule allowed. One that is refused before it led
// anywhere is a denial only.
type Connection struct {
	Type  string    `json:"type"`
	ID    uint64    `json:"id"`   // counts from 1 in an environment
	Time  time.Time `json:"time"` // when it began
	State string    `json:"state"`
	Ended time.Time `json:"ended,omitzero"`

	Way      string `json:"way"`
	Protocol string `json:"proto"`          // tcp | udp
	Host     string `json:"host,omitempty"` // the name that was meant; of one that came in, the environment it came from
	Addr     string `json:"addr,omitempty"` // of a connection that named no host; of one that came in, the address it came from
	Port     uint16 `json:"port"`           // of the server
	To       string `json:"to,omitempty"`   // address and port that it led to
	Rule     string `json:"rule,omitempty"` // the name of the egress or ingress rule
	Audit    bool   `json:"audit,omitempty"`

	Process

	// Bytes of payload that processes in the sandbox sent and received, as the
	// kernel counts them (TCP_INFO, see tcp(7)); of UDP, of datagrams.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	Requests uint64 `json:"requests,omitempty"` // of HTTP, one after the other

	End    string `json:"end,omitempty"`    // how it ended
	Reason string `json:"reason,omitempty"` // why, if it was not one of both sides
	Missed int    `json:"missed,omitempty"` // connections before this one that are not on record, as there were too many
}

// Target is the host or address with the port, as in a URL; of a connection that
// came in, the port in the sandbox.
func (c Connection) Target() string {
	host := c.Host
	switch {
	case c.Way == In:
		host = "localhost"
	case host == "":
		host = c.Addr
	}
	return net.JoinHostPort(host, strconv.Itoa(int(c.Port)))
}

// Key is the rule's in Totals.
func (c Connection) Key() string { return KeyOf(c.Way, c.Rule) }

// KeyOf is the key in Totals of a rule for a way: "egress.NAME", "ingress.NAME", or
// "" without a rule.
func KeyOf(way, rule string) string {
	switch {
	case rule == "":
		return ""
	case way == In:
		return "ingress." + rule
	}
	return "egress." + rule
}

// KeyOfDenial is the key in Totals of the rule that a denial is about.
func KeyOfDenial(d denial.Denial) string {
	if d.Op == denial.Visit {
		return d.Rule // with "ingress." already
	}
	return KeyOf(Out, d.Rule)
}

// A Question is one to the DNS server that a rule allowed.
type Question struct {
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Host   string    `json:"host"`
	Record string    `json:"record"` // A, AAAA, HTTPS, ...
	Rule   string    `json:"rule,omitempty"`
	Audit  bool      `json:"audit,omitempty"`
	Process
	Missed int `json:"missed,omitempty"` // questions before this one that are not on record
}

// A Denial is one of package denial, as a line of this record.
type Denial struct {
	Type string `json:"type"`
	denial.Denial
}

// Missed tells a reader that was too slow how many lines it did not get.
type Missed struct {
	Type  string `json:"type"`
	Lines uint64 `json:"lines"`
}

// Totals count everything, also what is not on record line by line.
type Totals struct {
	Type   string         `json:"type"`
	Since  time.Time      `json:"since"`
	Rules  map[string]Sum `json:"rules"`            // "egress.NAME", "ingress.NAME"; "" is: no rule
	Limits []Limits       `json:"limits,omitempty"` // the environment comes first, then rules by name
	Filter []Counter      `json:"filter,omitempty"`

	// Delayed is how often a new connection in the sandbox had to ask again, after a
	// second, two and so on, as too many waited already, for the relay or a server there;
	// since the environment is up.
	Delayed uint64 `json:"delayed,omitempty"`
	// Dropped are lines that were not written as the disk had no room.
	Dropped uint64 `json:"dropped,omitempty"`
}

// A Sum is what became of one rule.
type Sum struct {
	Connections uint64 `json:"connections"` // all, those that are open, too
	Open        uint64 `json:"open,omitempty"`
	Questions   uint64 `json:"questions,omitempty"`
	Refused     uint64 `json:"refused,omitempty"`
	Sent        uint64 `json:"sent"`
	Received    uint64 `json:"received"`
}

// Plus is the sum of both.
func (s Sum) Plus(o Sum) Sum {
	return Sum{s.Connections + o.Connections, s.Open + o.Open, s.Questions + o.Questions, s.Refused + o.Refused, s.Sent + o.Sent, s.Received + o.Received}
}

// A Counter is what the packet filter counted at one of its rules. It sees packets
// that processes in the sandbox send, not the answers.
type Counter struct {
	Chain   string `json:"chain"`
	Note    string `json:"note"`           // what the filter's rule is for
	Rule    string `json:"rule,omitempty"` // the egress rule
	Refuses bool   `json:"refuses,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"` // with all headers
}
