package index

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Error is an answer that can't be used, or none. It tells what, why, and what
// to do.
type Error struct {
	URL    string // without password
	Reason string // "the server answers 500 Internal Server Error"
	Fix    string // a sentence; may be empty
	Status int    // HTTP, if that is the reason
	Err    error  // what it comes from; may be nil
}

func (e *Error) Error() string {
	s := e.URL + ": " + e.Reason
	if e.Fix != "" {
		s += ". " + e.Fix
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ErrBroken means that one file can't be used; others of the index may.
var ErrBroken = errors.New("broken file")

func broken(at, reason string) error {
	return &Error{URL: redacted(at), Reason: reason, Err: ErrBroken}
}

const (
	notAnIndex   = "Check the index in the python block: its address is the root of a simple API, and mostly ends in /simple."
	tryLater     = "Try again later, or name another index in the python block."
	checkNetwork = "Check the network, and the index in the python block."
)

func tampered(at string) error {
	return &Error{URL: redacted(at), Reason: "the file has another hash than the index says",
		Fix: "The index or the way to it is broken or tampered with: don't install from it before that is understood."}
}

func redacted(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "the index"
	}
	return u.Redacted()
}

// unreachable says why there is no answer.
func unreachable(ctx context.Context, at string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) { // its text has the URL with the password
		err = wrapped.Err
	}
	e := &Error{URL: redacted(at), Err: err}
	var stalled *stalledError
	var refused *refusedError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &stalled):
		e.Reason, e.Fix = stalled.Error(), checkNetwork
	case errors.As(err, &refused):
		e.Reason = refused.Error()
	case errors.As(err, &dns):
		e.Reason, e.Fix = fmt.Sprintf("the name %s can't be looked up (%s)", dns.Name, dns.Err), checkNetwork
	case errors.As(err, &op) && op.Op == "dial":
		e.Reason, e.Fix = fmt.Sprintf("no connection can be made (%v)", op.Err), checkNetwork
	default:
		e.Reason = err.Error()
	}
	return e
}

// badStatus says what a status other than 200 means.
func badStatus(at string, resp *http.Response) error {
	e := &Error{URL: redacted(at), Reason: strings.TrimSpace(fmt.Sprintf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))), Fix: tryLater, Status: resp.StatusCode}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Fix = fmt.Sprintf("It lets only those in whom it knows. Say in the python block where the password is: login %q { password = \"env:NAME\" }", resp.Request.URL.Host)
		if resp.Request.Header.Get("Authorization") != "" {
			e.Fix = "It doesn't take the user and the password of the login block for it. Check them."
		}
	case http.StatusNotAcceptable:
		e.Fix = notAnIndex
	}
	return e
}

// passes reports whether a status may be another one a moment later.
func passes(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// refusedError is an answer that Blast does not follow, however often it comes.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

type stalledError struct{ reason string }

func (e *stalledError) Error() string { return e.reason }
