package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
)

// What lies in a project may have been put there by code in a sandbox, or came
// with a stranger's repository; root may be the one who runs blast in it.

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func pipe(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o666); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// quietly runs blast in this folder.
func quietly(t *testing.T, args ...string) int {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	return run(args, null, null, null)
}

func TestInitInStrangersProject(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	put(t, secret, "URL = 'https://secret.example'\n")
	t.Chdir(t.TempDir())
	put(t, "app.py", "get('https://api.example')\n")
	put(t, "z\nnetwork {\n egress \"all\" { domains = [\"evil.example\"] }\n}\n#.py", "get('https://other.example')\n")
	pipe(t, "pipe.py")
	pipe(t, "requirements.txt")
	link(t, secret, "linked.py")
	link(t, secret, ".gitignore")
	put(t, "pyproject.toml", "[project]\nname = 'x'\ndependencies = ['a', 'b']\n")
	if code := quietly(t, "init"); code != exitOK {
		t.Fatal(code)
	}
	got := read(t, "blast.hcl")
	for _, want := range []string{"# app.py:1 names this host:", "api.example", `manifest = "pyproject.toml"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, bad := range []string{"evil.example", "other.example", "secret.example"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in\n%s", bad, got)
		}
	}
	if strings.Contains(read(t, secret), ".blast") {
		t.Error("init wrote through a link")
	}
}

func TestInitIgnoresOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, ".gitignore", "*.pyc")
	if code := quietly(t, "init"); code != exitOK || read(t, ".gitignore") != "*.pyc\n.blast/\n" {
		t.Errorf("exit %d, %q", code, read(t, ".gitignore"))
	}
}

func TestFmtWritesWhatItRead(t *testing.T) {
	host := filepath.Join(t.TempDir(), "of-the-host")
	put(t, host, "a=1\n")
	t.Chdir(t.TempDir())
	put(t, "x.hcl", "b=2\n")
	if err := rewrite("x.hcl", []byte("b=2\n"), []byte("b = 2\n")); err != nil || read(t, "x.hcl") != "b = 2\n" {
		t.Errorf("%q, %v", read(t, "x.hcl"), err)
	}
	if err := os.Remove("x.hcl"); err != nil {
		t.Fatal(err)
	}
	link(t, host, "x.hcl") // put there after x.hcl was read
	if err := rewrite("x.hcl", []byte("b=2\n"), []byte("b = 2\n")); err == nil || read(t, host) != "a=1\n" {
		t.Errorf("%q, %v", read(t, host), err)
	}
	pipe(t, "pipe.hcl")
	if code := quietly(t, "fmt", "pipe.hcl"); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

func TestSavedPlanIsTheSaversAlone(t *testing.T) {
	host := filepath.Join(t.TempDir(), "of-the-host")
	put(t, host, "host")
	t.Chdir(t.TempDir())
	p := plan.Plan{Version: plan.FormatVersion, Env: "default"}
	put(t, "next.plan", "")
	if err := os.Chmod("next.plan", 0o666); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile("next.plan", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if err := savePlan("next.plan", p); err != nil {
		t.Fatal(err)
	}
	before := read(t, "next.plan")
	if _, err := held.WriteAt([]byte("forged"), 0); err != nil {
		t.Fatal(err)
	}
	if got, _, err := readPlan("next.plan"); err != nil || got.Env != "default" || read(t, "next.plan") != before {
		t.Errorf("%+v, %v", got, err)
	}
	if fi, err := os.Stat("next.plan"); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	link(t, host, "link.plan")
	link(t, filepath.Join(filepath.Dir(host), "new"), "dangling.plan")
	pipe(t, "pipe.plan")
	for _, name := range []string{"link.plan", "dangling.plan", "pipe.plan"} {
		if savePlan(name, p) == nil {
			t.Errorf("saved to %s", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(host), "new")); err == nil || read(t, host) != "host" {
		t.Error("a plan was written through a link")
	}
	if _, _, err := readPlan("pipe.plan"); err == nil {
		t.Error("a pipe is a plan")
	}
}

// TestTalkIsSafe: what a daemon's error repeats of an index or a wheel does not work on the
// terminal.
func TestTalkIsSafe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	u := newUI(Globals{Progress: "plain"}, w, w, w)
	u.fail(&wire.Error{Code: wire.CodeFailed, Message: "grün\ntwo \x1b]0;x\a\r\u202e\u009b2J"})
	_ = w.Close()
	got, err := io.ReadAll(r)
	if want := "blast: grün\ntwo ?]0;x???" + "?2J\n"; err != nil || string(got) != want {
		t.Errorf("%q, want %q, %v", got, want, err)
	}
}
