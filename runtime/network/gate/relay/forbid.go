package relay

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/gate/meter"
	"blast.example/blast/runtime/network/gate/netns"
	"blast.example/blast/runtime/network/gate/rules"
	"blast.example/blast/runtime/network/gate/upstream"
	"blast.example/blast/runtime/network/hostname"
)

// forbid answers a request that was refused, and ends the connection. A person reads
// it in the error of a program that knows nothing of Blast.
func (r *Relay) forbid(w http.ResponseWriter, d denial.Denial) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, r.words(d)) // a client that is gone reads nothing
}

// words say what was refused and why. All that a client chose is a host name or quoted.
func (r *Relay) words(d denial.Denial) string {
	why := cmp.Or(d.Told, d.Reason, "no egress rule of blast.hcl names this host")
	s := fmt.Sprintf("blast: refused by the sandbox, not by the network\n\n  what   %s\n  why    %s\n", d.Target(), why)
	if c := d.AllowCommand(r.choice...); c != "" {
		s += "  allow  " + c + "\n"
	}
	return s
}

// refusedInWords reports whether a destination stands for a name that no rule allows
// and is to hear why; see netns.HTTPPort.
func (t target) refusedInWords() bool {
	return netns.Refused.Contains(t.addr.Addr()) && t.addr.Port() == netns.HTTPPort
}

// explained reports whether a destination stands for a name and is where HTTP is spoken:
// what a rule lacks for it is said in words.
func (t target) explained() bool { return t.name != "" && t.addr.Port() == netns.HTTPPort }

// errRefused is a client that was refused, and doesn't speak what it could be told in.
var errRefused = errors.New("refused, and no HTTP request")

// sayNo answers a client whom no rule lets out to the name that it connected to, whatever
// it asks for. The refusal is on record.
func (t *talk) sayNo(d denial.Denial) error {
	t.in = bufio.NewReaderSize(t.client, peekBuffer)
	got, err := t.sniff(sayWithin)
	if err != nil || got == nothing {
		return err
	}
	if got != httpRequest {
		return errRefused
	}
	return answer(aheadConn{t.client, t.in, t.flow}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.relay.forbid(w, d) }))
}

// sayWhy answers a client that got to an address of a refused name. It connects to
// nothing, whatever the client says and whatever the rules say by now.
func (t *talk) sayWhy() error {
	t.in = bufio.NewReaderSize(t.client, peekBuffer)
	got, err := t.sniff(sayWithin)
	if err != nil || got == nothing {
		return err
	}
	if got != httpRequest {
		return &mismatchError{fmt.Sprintf("no rule allows the name of this address, and the first bytes are %s", got)}
	}
	return answer(aheadConn{t.client, t.in, t.flow}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.relay.forbid(w, t.relay.record(t.unnamed(r.Host), t.socket))
	}))
}

// unnamed is the refusal of a request at an address that stands for no name: many have
// the same, and which is meant only the request says. What it says is believed if the
// name has this address.
func (t *talk) unnamed(host string) denial.Denial {
	to := t.flow.to
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name, ok := hostname.Normalize(host)
	if !ok || t.relay.names.Refused(name) != to.addr.Addr() {
		d := to.denial(rules.Verdict{Reason: "no rule allows the name that this address was given out for, and the request is for another host"})
		d.Final = true
		return d
	}
	to.name = name
	v := t.relay.current().Rules.NamePort(name, to.addr.Port(), time.Now())
	d := to.denial(rules.Verdict{Rule: v.Rule, Reason: v.Reason})
	if v.OK {
		d.Final, d.Reason = true, "it is allowed by now: look the name up again"
	}
	return d
}

// reason is the refusal that an error stands for, if it does.
func (t *talk) reason(err error) (denial.Denial, bool) {
	var mismatch *mismatchError
	var refused *upstream.RefusedError
	var limit *meter.LimitError
	to := t.flow.to
	switch {
	case errors.As(err, &limit):
		return to.limited(limit), true
	case errors.As(err, &mismatch):
		d := to.denial(rules.Verdict{Reason: mismatch.reason})
		d.Final = true
		return d, true
	case errors.As(err, &refused):
		d := to.denial(refused.Verdict)
		if to.name != "" && t.relay.current().Rules.NamePort(to.name, to.addr.Port(), time.Now()).OK {
			d.Final = true
			if _, env := rules.Environment(to.name); !env {
				d.Told = cmp.Or(d.Told, "the name leads to an address that is none of the internet's, and no cidrs rule means that")
			}
		}
		return d, true
	}
	return denial.Denial{}, false
}
