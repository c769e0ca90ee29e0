package denial

import (
	"cmp"
	"time"
)

// Shown is a Denial as the sandbox sees it: what its own process tried, and what its
// person can do. Nothing in it is of the host: no process, user or path there, no network
// it is in.
type Shown struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // "network"
	Op       string    `json:"op"`   // Resolve or Connect
	Host     string    `json:"host,omitempty"`
	Addr     string    `json:"addr,omitempty"`
	Port     uint16    `json:"port,omitempty"`
	Protocol string    `json:"proto,omitempty"`

	PID     int    `json:"pid,omitempty"` // as the sandbox counts; 0 is not known
	Command string `json:"command,omitempty"`
	Where   string `json:"where,omitempty"` // file:line, as the process said

	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"` // "" is: no rule names it
	Allow  string `json:"allow,omitempty"`  // the command that allows it, for the host; "" is: no rule would

	Allowed bool `json:"allowed,omitempty"`
	Missed  int  `json:"missed,omitempty"`
}

// ShowAt lets the sandbox see what is recorded from now on, in a file at path of the
// host that it may read and not write. choice is as of AllowCommand.
func (l *Log) ShowAt(path string, choice ...string) error {
	r, err := openRecord(path, 0o644, maxShown)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown, l.choice = r, choice
	return nil
}

func (d Denial) show(choice []string) Shown {
	return Shown{
		Time: d.Time.UTC(), Kind: d.Kind, Op: d.Op, Host: d.Host, Addr: d.Addr, Port: d.Port, Protocol: d.Protocol,
		PID: d.PID, Command: d.Command, Where: d.Where,
		Rule: d.Rule, Reason: cmp.Or(d.Told, d.Reason), Allow: d.AllowCommand(choice...), Allowed: d.Allowed, Missed: d.Missed,
	}
}
