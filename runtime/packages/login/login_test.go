package login

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

func person(t *testing.T) state.Env {
	t.Helper()
	return state.NewEnv(t.TempDir(), "default", os.Getuid(), os.Getgid())
}

func TestFind(t *testing.T) {
	env := person(t)
	if err := os.WriteFile(filepath.Join(env.Project, "token"), []byte("pw-of-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CORP_TOKEN", "pw-of-env")
	t.Setenv("NETRC", filepath.Join(env.Project, "netrc"))
	if err := os.WriteFile(filepath.Join(env.Project, "netrc"), []byte("machine c.example login me password pw-of-netrc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ls, err := Find([]Place{
		{Host: "a.example", Password: "env:CORP_TOKEN"}, {Host: "b.example:8443", User: "ci", Password: "file:token"}, {Host: "c.example", Password: FromNetrc},
	}, env)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"a.example": "__token__ pw-of-env", "b.example:8443": "ci pw-of-file", "c.example": "me pw-of-netrc"} {
		if got := ls[host].User + " " + ls[host].Password.Reveal(); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", ls, ls, ls); strings.Contains(s, "pw-of") {
		t.Error("a password prints")
	}
	for w, want := range map[Place]string{
		{Host: "a", Password: "env:NONE_OF_IT"}:           "login for a: the password comes from env:NONE_OF_IT, and the variable NONE_OF_IT is not set here",
		{Host: "d.example", Password: FromNetrc}:          "has no machine d.example",
		{Host: "c.example", User: "x", Password: "netrc"}: "with login x",
	} {
		if _, err := Find([]Place{w}, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

// TestApply: a login goes to its host alone, by a way that nobody reads, and none stays
// on a request that goes elsewhere.
func TestApply(t *testing.T) {
	ls := Logins{"a.example": {"u", secret.NewValue("p")}, "b.example:8443": {"v", secret.NewValue("q")}, "127.0.0.1:80": {"w", secret.NewValue("r")}, "c.example": {"x", secret.NewValue("s")}}
	for at, want := range map[string]string{
		"https://a.example/simple/":   "u",
		"https://A.example:444/":      "u",
		"https://a.example./":         "u",
		"http://a.example/":           "",
		"https://sub.a.example/":      "",
		"https://a.example.evil/":     "",
		"https://b.example/":          "",
		"https://b.example:8443/":     "v",
		"http://127.0.0.1/":           "w",
		"http://127.0.0.1:81/":        "",
		"http://localhost.c.example/": "",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("of", "another")
		ls.Apply(r)
		if got, _, _ := r.BasicAuth(); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}

func TestNetrc(t *testing.T) {
	const file = `# of a person
machine a.example login u password p # and a comment
machine b.example
	login "v w"
	account x
	password "q\" r"
macdef init
machine z.example login no password no

machine a.example login second password p2
default login anonymous password me@
machine after.example login late password p
`
	for host, want := range map[string]string{
		"a.example": "u p", "A.Example": "u p", "b.example": `v w q" r`, "z.example": "anonymous me@", "after.example": "late p", "": "anonymous me@",
	} {
		b, ok, err := lookUp(file, host, "")
		if got := b.User + " " + b.Password.Reveal(); err != nil || !ok || got != want {
			t.Errorf("%s: %q %v", host, got, err)
		}
	}
	if b, ok, err := lookUp(file, "a.example", "second"); err != nil || !ok || b.Password.Reveal() != "p2" {
		t.Errorf("another user: %v %v", ok, err)
	}
	for _, bad := range []string{"machine", "machine a login", "login u", "machine a password", "machine a secret x", "\"", "macdef"} {
		if _, ok, err := lookUp(bad, "a", ""); ok && err == nil && bad != "machine a secret x" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine a login u password p\nmacdef x\n\ndefault\n", "a")
	f.Add("machine \"a\\\" login # \n", "a")
	f.Fuzz(func(t *testing.T, text, host string) {
		b, ok, err := lookUp(text, host, "")
		if err != nil && (ok || strings.Contains(err.Error(), "%!")) {
			t.Errorf("%v %v", ok, err)
		}
		if !ok && b.User != "" {
			t.Errorf("%+v", b)
		}
	})
}
