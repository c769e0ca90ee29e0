//go:build linux

package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/track/deny"
	"blast.example/blast/runtime/kinds"
)

// canTell reports whether this kernel tells of refusals. That of the machine that make
// test-vm makes does.
func canTell(t testing.TB) bool {
	t.Helper()
	err := new(deny.Tap).Able()
	if err != nil && os.Getenv("IN_BLAST_VM") != "" {
		t.Fatal(err)
	}
	return err == nil
}

// TestHostThatCannotTellOfRefusals: the record says so, and an alert that counts them is
// refused, as it would see none.
func TestHostThatCannotTellOfRefusals(t *testing.T) {
	if canTell(t) {
		t.Skip("this one can: see the other tests")
	}
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	if gaps := of[access.Gap](w.lines(t)); !slices.ContainsFunc(gaps, func(g access.Gap) bool {
		return strings.HasPrefix(g.Reason, "which accesses are refused is not seen: ")
	}) {
		t.Errorf("%+v", gaps)
	}
	ps := w.check(t, track(filesystem.Writes, denials(filesystem.Log)))
	if len(ps) != 1 || ps[0].Item != "alert.denials.event" || !strings.Contains(ps[0].Reason, "can't tell which accesses are refused") {
		t.Errorf("%+v", ps)
	}
	if ps := w.check(t, track(filesystem.Writes, massDelete(filesystem.Log))); len(ps) != 0 {
		t.Errorf("another alert: %+v", ps)
	}
}

func (w *world) check(t testing.TB, o plan.Object) []kinds.Problem {
	t.Helper()
	ps, err := w.host.Check(t.Context(), w.env, []plan.Object{o})
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func denials(action string) filesystem.Alert {
	return filesystem.Alert{Name: "denials", Event: filesystem.Denied, Threshold: 5, Window: time.Minute, Action: action}
}

func needRefusals(t testing.TB) {
	t.Helper()
	if !canTell(t) {
		t.Skip("this kernel doesn't tell which accesses it refuses; make test-vm has one that does")
	}
}

// refused are the refusals on record as "read /workspace/.env EACCES workspace", each
// once.
func (w *world) refused(t testing.TB) []string {
	t.Helper()
	w.flush(t)
	var all []string
	for _, x := range w.accesses(t) {
		if x.Op != filesystem.Denied {
			continue
		}
		s := strings.TrimSpace(strings.Join([]string{x.Tried, x.Path, x.To, x.Via, x.Error, x.Rule}, " "))
		all = append(all, strings.Join(strings.Fields(s), " "))
		if x.PID < 2 || x.HostPID < 2 || x.Command == "" || x.UID == nil || *x.UID == 0 || x.Unknown != "" || x.Why == "" {
			t.Errorf("%s by %+v: %q", s, x.Process, x.Why)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestRefusalsAreOnRecord: each way to be refused, by whichever path it was asked for, and
// nothing that was not refused, or not to the sandbox.
func TestRefusalsAreOnRecord(t *testing.T) {
	needRefusals(t)
	w := newWorld(t)
	w.mkdir(t, "sub")
	for name, mode := range map[string]os.FileMode{"open": 0o644, "shut": 0, "sub/script": 0o644} {
		if err := os.WriteFile(w.path(name), []byte("echo\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(w.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/workspace/.env", w.path("link")); err != nil {
		t.Fatal(err)
	}
	w.apply(t, track(filesystem.Writes))
	other := exec.Command("/bin/cat", w.path(".env"), w.path("shut")) // a person of the host
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	if other.Run() == nil {
		t.Fatal("the control was not refused")
	}
	w.must(t, "cat open; echo x >sub/new; rm sub/new; cat absent; true")
	if got := w.refused(t); len(got) != 0 {
		t.Fatalf("nothing was refused: %q", got)
	}
	for _, c := range []struct{ do, want string }{
		{"cat .env", "read /workspace/.env EACCES workspace"},
		{"cd sub; cat ../.env", "read /workspace/.env EACCES workspace"},
		{"cat link", "read /workspace/link /workspace/.env EACCES workspace"},
		{"cat /proc/self/root/workspace/.env", "read /proc/self/root/workspace/.env /workspace/.env EACCES workspace"},
		{"cat /proc/self/cwd/.env", "read /proc/self/cwd/.env EACCES"},
		{"cat .blast/default/state.json", "read /workspace/.blast/default/state.json EACCES workspace"},
		{"ls .blast", "read /workspace/.blast EACCES workspace"},
		{"echo x >.env", "write /workspace/.env EROFS workspace"},
		{"rm -f .env", "delete /workspace/.env EBUSY workspace"},
		{"mv .env sub/e", "rename /workspace/.env /workspace/sub/e EBUSY workspace"},
		{"rmdir .blast", "delete /workspace/.blast EOVERFLOW workspace"},
		{"echo x >.git/hooks/pre-commit", "write /workspace/.git/hooks/pre-commit EROFS workspace"},
		{"mkdir .git/hooks/d", "create /workspace/.git/hooks/d EROFS workspace"},
		{"ln -s x .git/hooks/l", "create /workspace/.git/hooks/l EROFS workspace"},
		{"mkfifo .git/hooks/f", "create /workspace/.git/hooks/f EROFS workspace"},
		{"mv .git git", "rename /workspace/.git /workspace/git EBUSY workspace"},
		{"cat shut", "read /workspace/shut EACCES"},
		{"./sub/script", "execute /workspace/sub/script EACCES"},
		{"python3 -c 'import os; os.open(\".env\", os.O_RDONLY, dir_fd=os.open(\"/workspace\", os.O_RDONLY))'", "read /workspace/.env EACCES workspace"},
	} {
		before := len(w.accesses(t))
		code, out := w.run(t, "/bin/sh", "-c", "cd /workspace; "+c.do)
		if code == 0 && !strings.HasPrefix(c.do, "rm -f") {
			t.Errorf("%s: not refused: %s", c.do, out)
		}
		if got := w.refused(t); !slices.Contains(got, c.want) {
			t.Errorf("%s: %q is not on record: %q", c.do, c.want, got)
		}
		if len(w.accesses(t)) == before {
			t.Errorf("%s: nothing new is on record", c.do)
		}
	}
	// Who is known, however soon it ends.
	for _, x := range w.accesses(t) {
		if x.Tried == filesystem.Rename && x.Command != "mv" || x.Tried == filesystem.Delete && x.Op == filesystem.Denied && x.Command != "rm" && x.Command != "rmdir" {
			t.Errorf("%s %s by %q", x.Tried, x.Path, x.Command)
		}
	}
	if lines, err := access.Denials(w.env.Run+"/"+access.DeniedFile, 0); err != nil || len(lines) < 15 {
		t.Errorf("%d refusals for who runs a command: %v", len(lines), err)
	}
	w.anotherDaemon(t)
	w.dropped(t)
}

// anotherDaemon: what is refused is seen by the next one, too.
func (w *world) anotherDaemon(t *testing.T) {
	t.Helper()
	if err := w.host.Close(); err != nil {
		t.Fatal(err)
	}
	w.begin(t)
	w.sync(t)
	w.run(t, "/bin/sh", "-c", "cat /workspace/.git/hooks/../../.blast/next")
	if got := w.refused(t); !slices.Contains(got, "read /workspace/.blast/next EACCES workspace") {
		t.Errorf("%q", got)
	}
}

// dropped: when nothing is tracked any more, no program is left in the kernel.
func (w *world) dropped(t *testing.T) {
	t.Helper()
	if n := deny.Loaded(); n == 0 {
		t.Error("no programs are there while there should be")
	}
	w.drop(t, track(filesystem.Writes))
	eventually(t, "programs are left", func() bool { return deny.Loaded() == 0 })
}

// TestAlertOnDenials fires for what it is about.
func TestAlertOnDenials(t *testing.T) {
	needRefusals(t)
	w := newWorld(t)
	only := denials(filesystem.Kill)
	only.Name, only.Paths = "keys", []string{"/workspace/.env"}
	if ps := w.check(t, track(filesystem.Writes, denials(filesystem.Log), only)); len(ps) != 0 {
		t.Fatalf("%+v", ps)
	}
	w.apply(t, track(filesystem.Writes, denials(filesystem.Log), only))
	w.must(t, "for i in 1 2 3 4; do cat .blast/$i; done; true")
	if got := w.alerts(t); len(got) != 0 {
		t.Fatalf("4 of 5 fired: %+v", got)
	}
	w.must(t, "cat .blast/5; true")
	if got := w.alerts(t); len(got) != 1 || got[0].Name != "denials" || got[0].Count != 5 || got[0].Command != "cat" || got[0].Path != "/workspace/.blast/5" {
		t.Errorf("%+v", got)
	}
	code, _ := w.run(t, "/bin/sh", "-c", "for i in 1 2 3 4 5; do cat /proc/self/root/workspace/.env; done; sleep 60")
	if got := w.alerts(t); code == 0 || !slices.ContainsFunc(got, func(a access.Alert) bool { return a.Name == "keys" && a.Action == filesystem.Kill }) {
		t.Errorf("exit %d: %+v", code, got)
	}
}

// TestFloodOfDenials: a sandbox that is refused without end is bounded, and what is lost is
// said; another's refusals stay on record, and those that stop it fire.
func TestFloodOfDenials(t *testing.T) {
	needRefusals(t)
	w, quiet := newWorld(t), newWorld(t)
	many := denials(filesystem.Kill)
	many.Threshold = 1_000_000 // it can't count to that: events are lost before
	w.apply(t, track(filesystem.Writes, many))
	quiet.apply(t, track(filesystem.Writes))
	const script = `
import os, itertools, threading
def flood(n):
    for i in itertools.count():
        try: os.open("/workspace/.blast/%d-%d" % (n, i) + "\x1b[31m\n" * 30, os.O_RDONLY)
        except OSError: pass
for n in range(4): threading.Thread(target=flood, args=(n,)).start()
`
	go func() { _, _ = w.run(t, "/usr/bin/timeout", "60", "python3", "-c", script) }()
	eventually(t, "the flood was not heard of", func() bool { return len(w.accesses(t)) > 0 })
	quiet.run(t, "/bin/cat", "/workspace/.env")
	if got := quiet.refused(t); !slices.Equal(got, []string{"read /workspace/.env EACCES workspace"}) {
		t.Errorf("beside a flood: %q", got)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(of[access.Alert](w.lines(t))) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the alert did not fire")
		}
	}
	all := w.lines(t)
	if gaps := of[access.Gap](all); !slices.ContainsFunc(gaps, func(g access.Gap) bool { return g.Lost > 0 && strings.Contains(g.Reason, "refused") }) {
		t.Errorf("nothing says that something was lost: %+v", gaps)
	}
	if a := of[access.Alert](all)[0]; !a.Overflow || a.Action != filesystem.Kill {
		t.Errorf("%+v", a)
	}
	for _, name := range []string{access.File, access.OldFile, access.DeniedFile} {
		if fi, err := os.Stat(w.env.Run + "/" + name); err == nil && fi.Size() > 9<<20 {
			t.Errorf("%s has %d bytes", name, fi.Size())
		}
	}
}

// TestForgedDenials: a process can be refused whatever it likes, but in its own name, and
// not so that another line is made of it.
func TestForgedDenials(t *testing.T) {
	needRefusals(t)
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	const script = `
import os, ctypes
ctypes.CDLL(None).prctl(15, b"x\"},{\"pid\":1", 0, 0, 0)
for p in ("/workspace/.blast/a\n{\"type\":\"access\",\"op\":\"denied\",\"path\":\"/etc/passwd\",\"pid\":1}\n", b"/workspace/.blast/\xff\xfe", "/workspace/.blast/" + "y" * 255, "/workspace/.blast/" + "z/" * 1900):
    try: os.open(p, os.O_RDONLY)
    except OSError: pass
import threading
def one():
    try: os.open("/workspace/.blast/thread", os.O_RDONLY)
    except OSError: pass
t = threading.Thread(target=one); t.start(); t.join()
os.mkdir("/tmp/deep"); os.chdir("/tmp/deep")
for i in range(60): os.mkdir("d" * 200); os.chdir("d" * 200)
try: os.open("../" * 62 + "workspace/.env", os.O_RDONLY)
except OSError: pass
print(os.getpid())
`
	code, out := w.run(t, "/usr/bin/python3", "-c", script)
	if code != 0 {
		t.Fatal(out)
	}
	w.flush(t)
	n := 0
	for _, x := range w.accesses(t) {
		if x.Op != filesystem.Denied {
			continue
		}
		n++
		if fmt.Sprint(x.PID) != strings.TrimSpace(out) || x.Path != "/workspace/.blast/thread" && x.Command != `x"},{"pid":1` || strings.HasPrefix(x.Path, "/etc") {
			t.Errorf("%q by %+v", x.Path, x.Process)
		}
	}
	if n != 6 {
		t.Errorf("%d refusals on record", n)
	}
}
