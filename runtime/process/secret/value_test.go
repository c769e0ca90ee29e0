package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// person is somebody else than root, who runs the tests.
const person = 12345

// project is a folder that everybody may enter.
func project(t *testing.T) state.Env {
	t.Helper()
	dir, err := os.MkdirTemp("", "blast-secret-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return state.NewEnv(dir, "default", person, person)
}

func put(t *testing.T, env state.Env, name, text string, mode os.FileMode, uid, gid int) {
	t.Helper()
	path := filepath.Join(env.Project, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// whyNot is why there is no value; "" if there is one.
func whyNot(t *testing.T, r Reference, env state.Env) string {
	t.Helper()
	v, err := r.Value(env)
	if err == nil {
		return ""
	}
	var m *MissingError
	if !errors.As(err, &m) || v.Reveal() != "" || m.Fix == "" || m.Name != r.Name {
		t.Fatalf("%v (%v)", err, v)
	}
	return err.Error()
}

func TestValueOfVariable(t *testing.T) {
	env := project(t)
	r := Reference{Name: "TOKEN", From: "env:BLAST_TEST_TOKEN"}
	if why := whyNot(t, r, env); !strings.Contains(why, "secret TOKEN") || !strings.Contains(why, "variable BLAST_TEST_TOKEN is not set") {
		t.Errorf("absent: %s", why)
	}
	t.Setenv("SUDO_UID", "1000")
	if why := whyNot(t, r, env); !strings.Contains(why, "sudo --preserve-env=BLAST_TEST_TOKEN") {
		t.Errorf("absent under sudo: %s", why)
	}
	for text, want := range map[string]string{"": "is empty", strings.Repeat("x", MaxValue+1): "longer than 64 KiB", "a b\nc\n": "", "\xff": "", strings.Repeat("x", MaxValue): ""} {
		t.Setenv("BLAST_TEST_TOKEN", text)
		if why := whyNot(t, r, env); !strings.Contains(why, want) || (want == "") != (why == "") {
			t.Errorf("%.20q: %s", text, why)
		}
		if v, err := r.Value(env); err == nil && v.Reveal() != text {
			t.Errorf("%.20q reads as %.20q", text, v.Reveal())
		}
	}
}

func TestValueOfFile(t *testing.T) {
	env := project(t)
	r := Reference{Name: "TOKEN", From: "file:token"}
	if why := whyNot(t, r, env); !strings.Contains(why, "there is no file "+env.Project+"/token") {
		t.Errorf("absent: %s", why)
	}
	for text, want := range map[string]string{"x": "x", "x\n": "x", "x\r\n": "x", "x\n\n": "x\n", "x y": "x y", "\tx": "\tx", "a\nb": "a\nb", "\xff\xfe": "\xff\xfe", strings.Repeat("x", MaxValue) + "\r\n": strings.Repeat("x", MaxValue)} {
		put(t, env, "token", text, 0o644, 0, 0)
		if v, err := r.Value(env); err != nil || v.Reveal() != want {
			t.Errorf("%.20q: %.20q, %v", text, v.Reveal(), err)
		}
	}
	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "a\x00b": "NUL", strings.Repeat("x", MaxValue+1): "longer", strings.Repeat("x", 2*MaxValue): "longer"} {
		put(t, env, "token", text, 0o644, 0, 0)
		if why := whyNot(t, r, env); !strings.Contains(why, want) || strings.Contains(why, "aXb") {
			t.Errorf("%.20q: %s", text, why)
		}
	}
}

// Root reads for a person what that person can read, and nothing else.
func TestFileIsReadAsThePerson(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others' files are to be there")
	}
	env := project(t)
	r := Reference{Name: "TOKEN", From: "file:token"}
	for what, c := range map[string]struct {
		mode     os.FileMode
		uid, gid int
		ok       bool
	}{
		"their own":             {0o400, person, person, true},
		"their own, unreadable": {0o000, person, person, false},
		"everybody's":           {0o444, 0, 0, true},
		"their group's":         {0o440, 0, person, true},
		"root's":                {0o400, 0, 0, false},
		"root's group's":        {0o440, 0, 0, false},
		"another's":             {0o600, person + 1, person + 1, false},
	} {
		put(t, env, "token", "value", c.mode, c.uid, c.gid)
		if why := whyNot(t, r, env); (why == "") != c.ok || !c.ok && !strings.Contains(why, "may not be read by uid 12345") {
			t.Errorf("%s: %q", what, why)
		}
	}
	// In a folder that they can't enter.
	if err := os.Mkdir(filepath.Join(env.Project, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, env, "d/token", "value", 0o444, 0, 0)
	if why := whyNot(t, Reference{Name: "TOKEN", From: "file:d/token"}, env); !strings.Contains(why, "may not be read") {
		t.Errorf("in a closed folder: %q", why)
	}
	// Root that acts for itself reads it, as the control.
	self := env
	self.UID, self.GID = 0, 0
	if why := whyNot(t, Reference{Name: "TOKEN", From: "file:d/token"}, self); why != "" {
		t.Errorf("as root: %q", why)
	}
	// This process has its rights back.
	if uid, err := unix.SetfsuidRetUid(-1); err != nil || uid != 0 {
		t.Errorf("uid %d, %v", uid, err)
	}
	if _, err := os.ReadFile(filepath.Join(env.Project, "d/token")); err != nil {
		t.Error(err)
	}
}

// Nobody can have another file read, or the reader wait.
func TestFilesThatAreNone(t *testing.T) {
	env := project(t)
	put(t, env, "private", "key", 0o444, person, person)
	at := func(name string) string { return filepath.Join(env.Project, name) }
	for _, err := range []error{
		os.Symlink(at("private"), at("link")), os.Symlink(env.Project, at("way")), os.Symlink("loop", at("loop")),
		unix.Mkfifo(at("fifo"), 0o666), os.Mkdir(at("folder"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"link": "symbolic link", "way/private": "symbolic link", "loop": "symbolic link", "/proc/self/environ": "symbolic link",
		"fifo": "not a regular file", "folder": "not a regular file", "/dev/zero": "not a regular file", "private/x": "no file",
	} {
		if why := whyNot(t, Reference{Name: "TOKEN", From: "file:" + name}, env); !strings.Contains(why, want) {
			t.Errorf("%s: %q", name, why)
		}
	}
	if why := whyNot(t, Reference{Name: "TOKEN", From: "file:private"}, env); why != "" {
		t.Errorf("control: %s", why)
	}
}

// A value that gets into a message, a log or a record by mistake isn't seen there.
func TestValueDoesNotPrint(t *testing.T) {
	v := NewValue("hush")
	type holder struct {
		V Value
		w Value
		p *Value
	}
	h := holder{v, v, &v}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+verb+verb, v, h, []Value{v})
	}
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "value", v, "holder", h)
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	if strings.Contains(b.String(), "hush") || strings.Contains(b.String(), "68757368") {
		t.Errorf("it is in %s", b.String())
	}
	if v.Reveal() != "hush" || h.w.Reveal() != "hush" {
		t.Error("control: it isn't there at all")
	}
}

// What reads a value leaves no core dump, and lets no one of its user look into it.
func TestReaderIsNotDumpable(t *testing.T) {
	t.Setenv("BLAST_TEST_TOKEN", "x")
	if _, err := (Reference{Name: "TOKEN", From: "env:BLAST_TEST_TOKEN"}).Value(project(t)); err != nil {
		t.Fatal(err)
	}
	if on, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || on != 0 {
		t.Errorf("dumpable: %d, %v", on, err)
	}
}

func TestHash(t *testing.T) {
	key, other := NewKey(), NewKey()
	h := Hash(key, "A", NewValue("x"))
	for what, o := range map[string]string{
		"another value": Hash(key, "A", NewValue("y")), "another name": Hash(key, "B", NewValue("x")), "another key": Hash(other, "A", NewValue("x")),
	} {
		if o == h || !IsHash(o) {
			t.Errorf("%s: %s", what, o)
		}
	}
	if Hash(key, "A", NewValue("x")) != h {
		t.Error("the same is not the same")
	}
	for _, s := range []string{"", h[:63], h + "0", strings.ToUpper(h[:63] + "a"), strings.Repeat("g", 64)} {
		if IsHash(s) {
			t.Errorf("%q is a hash", s)
		}
	}
}
