package nft

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/network/gate/netns"
)

// watched collects what a watch tells.
func watched(t *testing.T, ns *os.File) (*Watch, func() []Commit) {
	t.Helper()
	all := make(chan Commit, 1000)
	w, err := NewWatch(ns, func(cs []Commit) {
		for _, c := range cs {
			all <- c
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, func() []Commit {
		w.Catch()
		var out []Commit
		for len(all) > 0 {
			out = append(out, <-all)
		}
		return out
	}
}

func TestWatchHearsOfEachTransaction(t *testing.T) {
	ns, path := namespace(t)
	_, heard := watched(t, ns)
	if err := Install(ns, ruleset(t, some())); err != nil { // some hundred messages, of which one counts
		t.Fatal(err)
	}
	first := heard()
	if len(first) != 1 {
		t.Fatalf("one transaction is told of as %+v", first)
	}
	if !hostinfo.InitialPIDs() {
		t.Skip("the kernel tells numbers of the initial PID namespace, and this is another one")
	}
	if _, err := os.Stat(filepath.Join("/proc/self/task", fmt.Sprint(first[0].PID))); err != nil {
		t.Errorf("%+v is not told to be this process: %v", first[0], err)
	}
	cmd := exec.Command("nsenter", "--net="+path, "nft", "flush chain inet blast out")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	nft(t, path, "list ruleset") // changes nothing
	if err := exec.Command("nsenter", "--net="+path, "nft", "delete rule inet blast out handle 9999").Run(); err == nil {
		t.Fatal("a rule that isn't there was deleted")
	}
	want := Commit{first[0].ID + 1, cmd.Process.Pid, "nft"}
	if got := heard(); len(got) != 1 || got[0] != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
	if id, err := Generation(ns); err != nil || id != want.ID {
		t.Errorf("generation %d, %v; want %d", id, err, want.ID)
	}
}

// What overflows is missing, and the watch goes on.
func TestWatchOutlivesLostMessages(t *testing.T) {
	ns, path := namespace(t)
	w, heard := watched(t, ns)
	if err := w.raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	for i := range 30 {
		nft(t, path, fmt.Sprintf("add table inet t%d", i))
	}
	w.mu.Unlock()
	id, err := Generation(ns)
	if err != nil {
		t.Fatal(err)
	}
	got := heard()
	if len(got) == 0 || len(got) >= 30 || got[len(got)-1].ID == id {
		t.Fatalf("nothing was lost: %d messages, the last %+v, generation %d", len(got), got[len(got)-1], id)
	}
	nft(t, path, "flush ruleset")
	if got := heard(); len(got) != 1 || got[0].ID != id+1 {
		t.Errorf("afterwards: %+v, want %d", got, id+1)
	}
}

// Only the kernel is believed.
func TestWatchBelievesNoProcess(t *testing.T) {
	ns, path := namespace(t)
	w, heard := watched(t, ns)
	var watch uint32
	if err := w.raw.Control(func(fd uintptr) {
		if name, err := unix.Getsockname(int(fd)); err == nil {
			watch = name.(*unix.SockaddrNetlink).Pid
		}
	}); err != nil || watch == 0 {
		t.Fatal(watch, err)
	}
	forged := message(7, 4711, "evil")
	err := netns.Do(ns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Sendto(fd, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: watch})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := commits(forged); len(got) != 1 || got[0] != (Commit{7, 4711, "evil"}) {
		t.Fatalf("the forged message would not be believed anyway: %+v", got)
	}
	nft(t, path, "add table inet x")
	if got := heard(); len(got) != 1 || got[0].Name != "nft" {
		t.Errorf("told %+v", got)
	}
}

// Close waits for what is being told.
func TestNothingIsToldAfterClose(t *testing.T) {
	ns, path := namespace(t)
	begun, over := make(chan struct{}), false
	w, err := NewWatch(ns, func([]Commit) {
		close(begun)
		time.Sleep(50 * time.Millisecond) // for Close to begin
		over = true
	})
	if err != nil {
		t.Fatal(err)
	}
	nft(t, path, "add table inet x")
	<-begun
	w.Close()
	if !over {
		t.Error("Close returned before")
	}
	nft(t, path, "add table inet y") // would close the channel twice
	w.Catch()
}

// message is what the kernel writes of a transaction.
func message(id, pid uint32, name string) []byte {
	attr := func(kind uint16, v []byte) []byte {
		b := append(le16(uint16(4+len(v))), le16(kind)...)
		return append(append(b, v...), make([]byte, (4-len(v)%4)%4)...)
	}
	be := func(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	body := []byte{0, 0, 0, 0}
	body = append(body, attr(unix.NFTA_GEN_ID, be(id))...)
	body = append(body, attr(unix.NFTA_GEN_PROC_PID, be(pid))...)
	body = append(body, attr(unix.NFTA_GEN_PROC_NAME, append([]byte(name), 0))...)
	head := append(le16(uint16(16+len(body))), 0, 0)
	head = append(head, le16(messageType(unix.NFT_MSG_NEWGEN))...)
	return append(append(head, make([]byte, 10)...), body...)
}

// le16 is for machines of this byte order, on which the tests run.
func le16(n uint16) []byte { return []byte{byte(n), byte(n >> 8)} }

func FuzzCommits(f *testing.F) {
	whole := message(7, 4711, "nft")
	f.Add(whole)
	f.Add(whole[:30])
	f.Add(append(whole, whole...))
	f.Add([]byte(strings.Repeat("\xff", 64)))
	f.Fuzz(func(_ *testing.T, b []byte) { commits(b) })
}
