package gate

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/gate/hand"
	"blast.example/blast/runtime/network/gate/nft"
)

// known is what a plan would say of who changed the packet filter.
func (s *sandbox) known() string {
	s.Helper()
	known, err := s.host.Witness(context.Background(), s.env)
	if err != nil {
		s.Fatal(err)
	}
	return known[network.PolicyAddr]
}

// restart ends the daemon's half and begins another one.
func (s *sandbox) restart(between func()) {
	s.Helper()
	if err := s.host.Close(); err != nil {
		s.Fatal(err)
	}
	between()
	s.host = New(slog.New(slog.DiscardHandler))
	if err := s.host.Sync(context.Background(), s.env); err != nil {
		s.Fatal(err)
	}
}

// An outsider is an nft(8) that waits for commands.
type outsider struct {
	*sandbox
	cmd *exec.Cmd
	in  io.Writer
}

func (s *sandbox) outsider(name string, args ...string) outsider {
	s.Helper()
	if !hostinfo.InitialPIDs() {
		s.Skip("the kernel tells numbers of the initial PID namespace, and this is another one")
	}
	cmd := exec.Command("nsenter", append([]string{"--net=" + pinPath(s.env), name}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return outsider{s, cmd, in}
}

// run has the outsider make a transaction, and returns when it is made.
func (o outsider) run(command string) {
	o.Helper()
	before := o.generation()
	if _, err := fmt.Fprintln(o.in, command); err != nil {
		o.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); o.generation() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			o.Fatalf("%s: nothing happens", command)
		}
	}
}

func (s *sandbox) generation() uint32 {
	s.Helper()
	ns, err := os.Open(pinPath(s.env))
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	id, err := nft.Generation(ns)
	if err != nil {
		s.Fatal(err)
	}
	return id
}

func TestWitnessNamesWhoChangedTheFilter(t *testing.T) {
	s := up(t, webRule(80))
	expect := func(when, want string) {
		t.Helper()
		if got := s.known(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	policy := s.observe()[network.PolicyAddr]
	expect("before", "")
	mine := s.outsider("nft", "-i")
	by := fmt.Sprintf("by nft (pid %d, uid 0)", mine.cmd.Process.Pid)
	mine.run("flush chain inet blast out")
	expect("flushed", by)
	mine.run("add table ip mine")
	expect("and another table", by+", the last of 2 changes")

	// A daemon that comes back knows it from the last one, and not what happened
	// in between.
	s.restart(func() {})
	expect("after a restart", by+", the last of 2 changes")
	s.restart(func() { mine.run("add table ip unseen") })
	expect("while there was no daemon", "not known by whom")
	mine.run("add table ip seen")
	expect("seen again", by+", the last of 4 changes")

	// Mended by Blast itself there is nobody to blame.
	s.apply(plan.Change{Addr: network.PolicyAddr, From: []byte(s.observe()[network.PolicyAddr]), To: []byte(policy)})
	expect("mended", "")
	s.restart(func() {})
	expect("mended, after a restart", "")

	// What is told is no attribute, so that it makes no plan.
	mine.run("add table ip mine")
	mine.run("delete table ip mine")
	if got := s.observe()[network.PolicyAddr]; got != policy {
		t.Errorf("observed %s, want %s", got, policy)
	}
}

// One that is gone at once has at least a number and a name.
func TestWitnessOfShortLivedProcess(t *testing.T) {
	s := up(t, webRule(80))
	cmd := exec.Command("nsenter", "--net="+pinPath(s.env), "nft", "delete table inet blast")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "by nft (pid "
	if hostinfo.InitialPIDs() {
		want += fmt.Sprint(cmd.Process.Pid)
	}
	if got := s.known(); !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A namespace of its own counts from the beginning again.
func TestWitnessKnowsTheNamespace(t *testing.T) {
	s := up(t, webRule(80))
	mine := s.outsider("nft", "-i")
	mine.run("flush chain inet blast out")
	s.host.catch(s.env)
	var last hand.Hand
	if _, err := s.env.ReadNote(filterNote, &last); err != nil {
		t.Fatal(err)
	}
	if got := last.Tell(last.NS, last.ID); !strings.HasPrefix(got, "by nft") {
		t.Errorf("%q", got)
	}
	for _, other := range []struct {
		ns string
		id uint32
	}{{"net:[1]", last.ID}, {last.NS, last.ID + 1}, {last.NS, last.ID - 1}} {
		if got := last.Tell(other.ns, other.id); got != hand.Unknown {
			t.Errorf("%+v: %q", other, got)
		}
	}
}

// A process chooses its name, and can't draw with it.
func TestForgedHandIsShownAsText(t *testing.T) {
	const script = `
import ctypes, sys
ctypes.CDLL(None).prctl(15, b"a\x1b[2J\n) by me", 0, 0, 0)
nft = ctypes.CDLL("libnftables.so.1")
nft.nft_ctx_new.restype = ctypes.c_void_p
ctx = nft.nft_ctx_new(0)
for line in sys.stdin:
    nft.nft_run_cmd_from_buffer(ctypes.c_void_p(ctx), line.encode())
`
	s := up(t, webRule(80))
	evil := s.outsider("python3", "-c", script)
	evil.run("flush chain inet blast out")
	python, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", evil.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.known(), fmt.Sprintf("by a?[2J?) by me (pid %d, uid 0, %s)", evil.cmd.Process.Pid, python); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(s.env.Run, filterNote+".json"), &st); err != nil || st.Mode&0o777 != 0o600 {
		t.Errorf("the note has mode %o, %v", st.Mode, err)
	}
}

// Only the last one is noted, however many there are, and however much they say.
func TestHandNoteIsBounded(t *testing.T) {
	s := up(t, webRule(80))
	mine := s.outsider("bash", "-c", "exec -a \"$(head -c 100000 /dev/zero | tr '\\0' x)\" nft -i")
	for i := range 20 {
		mine.run(fmt.Sprintf("add table ip t%d", i))
	}
	if got := s.known(); !strings.HasSuffix(got, ", the last of 20 changes") {
		t.Errorf("%q", got)
	}
	fi, err := os.Stat(filepath.Join(s.env.Run, filterNote+".json"))
	if err != nil || fi.Size() > 2<<10 {
		t.Errorf("the note is %v, %v", fi, err)
	}
}
