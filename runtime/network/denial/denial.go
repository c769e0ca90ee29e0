// Package denial is the record of what an environment's network refused: one
// JSON object a line, written by the gate, read by the command line and shown
// in the sandbox.
package denial

import (
	"net"
	"strconv"
	"time"
)

// File is the record's name in the run folder of an environment.
const File = "denied.ndjson"

// What was tried.
const (
	Resolve = "resolve" // a name was looked up
	Connect = "connect" // a connection was opened, or used for something else than it was opened for
	Visit   = "visit"   // somebody outside came to a published port; Addr is theirs, or Host, of an environment
)

// A Denial is one refusal. What is not known is zero: who asked is found by
// looking at the process while it waits, and a process that went away at once
// is not found.
type Denial struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // "network"
	Op       string    `json:"op"`   // Resolve or Connect
	Host     string    `json:"host,omitempty"`
	Addr     string    `json:"addr,omitempty"` // of a connection that named no host
	Port     uint16    `json:"port,omitempty"` // 0: refused before a port was tried
	Protocol string    `json:"proto,omitempty"`

	// Who. Arguments are not kept, as they may hold secrets.
	PID     int     `json:"pid,omitempty"`      // as the sandbox counts
	HostPID int     `json:"host_pid,omitempty"` // as the host counts
	UID     *uint32 `json:"uid,omitempty"`      // on the host
	Command string  `json:"command,omitempty"`  // comm, at most 15 bytes; the sandbox chose it
	Script  string  `json:"script,omitempty"`   // the Python file that it runs; likewise
	Where   string  `json:"where,omitempty"`    // file:line of the program, as the process itself says
	Meant   uint16  `json:"meant,omitempty"`    // the port that it says the name is looked up for

	Rule   string `json:"rule"`   // the egress rule that named the host but did not cover this
	Place  string `json:"place"`  // the line that decided, filled in by the reader
	Reason string `json:"reason"` // "" is: no rule names it
	Told   string `json:"-"`      // the reason as the sandbox may know it, if that is less: nothing about the host's networks
	// Limit is the item of the policy that was reached: "connections.max",
	// "egress.db.quota.ingress". What was tried is allowed but for that.
	Limit string `json:"limit,omitempty"`

	// Final means that no rule for this target would change it.
	Final bool `json:"final,omitempty"`
	// Allowed means that it went through all the same: default = "audit".
	Allowed bool `json:"allowed,omitempty"`
	// Missed counts denials before this one that were not recorded, as there
	// were too many.
	Missed int `json:"missed,omitempty"`
}

// Target is the host or address with the port, as in a URL: "api.github.com:443".
func (d Denial) Target() string {
	host := d.Host
	if host == "" {
		host = d.Addr
	}
	if d.Port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(d.Port)))
}
