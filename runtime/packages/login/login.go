// Package login knows what an index wants to hear before it hands out packages: a user
// and a password, found where blast.hcl says (RFC 7617).
//
// What is recorded and shown is where they are. They themselves are in the memory of
// the command that resolves, and of the daemon for as long as it installs.
package login

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

// A Place says where the user and the password are that a host is told. They themselves
// are not in it.
type Place struct {
	Host     string `json:"host"`           // "host" or "host:port", in lower case
	User     string `json:"user,omitempty"` // "" is that of netrc, or else "__token__"
	Password string `json:"password"`       // "env:NAME", "file:PATH" or FromNetrc
}

// FromNetrc is a password in the person's netrc file.
const FromNetrc = "netrc"

// A Basic is a user and a password.
type Basic struct {
	User     string
	Password secret.Value
}

// Logins are those of hosts, by "host:port", or "host" for every port.
type Logins map[string]Basic

// tokenUser is what indexes call the user of a token, as PyPI does.
const tokenUser = "__token__"

// Find looks up what the login blocks name, with the rights of env's person. The error
// says which has nothing, and has nothing of a password in it.
func Find(ws []Place, env state.Env) (Logins, error) {
	out := Logins{}
	for _, w := range ws {
		b, err := find(w, env)
		if err != nil {
			return nil, err
		}
		out[w.Host] = b
	}
	return out, nil
}

// An Error is a login that can't be had here.
type Error struct {
	Host string // label of the block
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("login for %s: %v", e.Host, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

func find(w Place, env state.Env) (Basic, error) {
	if w.Password == FromNetrc {
		return fromNetrc(w, env)
	}
	v, err := secret.Reference{Name: "password", From: w.Password}.Value(env)
	if err != nil {
		var missing *secret.MissingError
		if errors.As(err, &missing) {
			err = fmt.Errorf("the password comes from %s, and %s. %s", missing.From, missing.Why, missing.Fix)
		}
		return Basic{}, &Error{w.Host, err}
	}
	b := Basic{w.User, v}
	if b.User == "" {
		b.User = tokenUser
	}
	return b, nil
}

// File is the absolute path of the file that the password is in; "" if it is in none.
func (w Place) File(env state.Env) string {
	if w.Password != FromNetrc {
		return secret.Reference{From: w.Password}.File(env.Project)
	}
	if path := os.Getenv("NETRC"); path != "" {
		return path
	}
	u, err := user.LookupId(strconv.Itoa(env.UID))
	if err != nil || u.HomeDir == "" {
		return ""
	}
	return filepath.Join(u.HomeDir, ".netrc")
}

// fromNetrc reads the person's netrc(5) file: $NETRC, or .netrc in their home.
func fromNetrc(w Place, env state.Env) (Basic, error) {
	path := w.File(env)
	if path == "" {
		return Basic{}, &Error{w.Host, fmt.Errorf("uid %d has no home, so no .netrc. Set NETRC", env.UID)}
	}
	text, err := secret.Reference{Name: "netrc", From: "file:" + path}.Value(env)
	if err != nil {
		var missing *secret.MissingError
		if errors.As(err, &missing) {
			err = errors.New(missing.Why)
		}
		return Basic{}, &Error{w.Host, err}
	}
	host, _, err := net.SplitHostPort(w.Host)
	if err != nil {
		host = w.Host
	}
	b, ok, err := lookUp(text.Reveal(), strings.Trim(host, "[]"), w.User)
	switch {
	case err != nil:
		return Basic{}, &Error{w.Host, fmt.Errorf("%s: %w", path, err)}
	case !ok && w.User != "":
		return Basic{}, &Error{w.Host, fmt.Errorf("%s has no machine %s with login %s", path, host, w.User)}
	case !ok:
		return Basic{}, &Error{w.Host, fmt.Errorf("%s has no machine %s", path, host)}
	}
	return b, nil
}

// Apply lets a request log in, if there is a login for where it goes, and takes away the
// login of where it came from. Over plain HTTP nothing is told, but to this machine itself.
func (l Logins) Apply(r *http.Request) {
	r.Header.Del("Authorization")
	if b, ok := l.of(r.URL); ok {
		r.SetBasicAuth(b.User, b.Password.Reveal())
	}
}

func (l Logins) of(u *url.URL) (Basic, bool) {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if u.Scheme != "https" {
		if a, err := netip.ParseAddr(host); err != nil || !a.Unmap().IsLoopback() {
			return Basic{}, false
		}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	b, ok := l[net.JoinHostPort(host, port)]
	if !ok {
		b, ok = l[host]
	}
	return b, ok
}
