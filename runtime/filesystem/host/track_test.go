//go:build linux

package host_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
)

// TestWritesGoOnRecord: what, where in the sandbox, and who, in the order in which it
// happened; of the host's files and of the sandbox's own.
func TestWritesGoOnRecord(t *testing.T) {
	w := newWorld(t)
	w.mkdir(t, "src")
	w.apply(t, track(filesystem.Writes))
	for _, dir := range []string{"/workspace/src", "/tmp", "/home/sandbox", "/var/tmp"} {
		for _, do := range []string{"echo hello >a", "mv a b; rm b; mkdir d; mv d e; rmdir e"} { // a file is named as it is by then
			w.must(t, "cd "+dir+"; "+do)
			w.flush(t)
		}
	}
	got := w.deeds(t)
	for _, dir := range []string{"/workspace/src/", "/tmp/", "/home/sandbox/", "/var/tmp/"} {
		var here []string
		for _, d := range got {
			if strings.Contains(d, " "+dir) {
				here = append(here, strings.ReplaceAll(d, dir, ""))
			}
		}
		want := []string{"create a", "write a", "rename a b", "delete b", "create d", "rename d e", "delete e"}
		if !slices.Equal(here, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", dir, here, want)
		}
	}
	for _, x := range w.accesses(t) {
		comm := map[string]string{"rename": "mv", "delete": "rm"}[x.Op]
		if x.Folder {
			comm = map[string]string{"create": "mkdir", "rename": "mv", "delete": "rmdir"}[x.Op]
		}
		if comm != "" && x.Command != comm || x.Unknown != "" || x.HostPID == 0 {
			t.Errorf("%s %s by %+v", x.Op, x.Path, x.Process)
		}
		if x.Op == filesystem.Write && x.Size != 6 {
			t.Errorf("%s has %d bytes", x.Path, x.Size)
		}
	}
}

// TestLevels: what is read and executed is on record only if that is asked for.
func TestLevels(t *testing.T) {
	for _, level := range []string{filesystem.Writes, filesystem.All} {
		w := newWorld(t)
		if err := os.WriteFile(w.path("in"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.path("program"), []byte("#!/bin/sh\ncat /workspace/in >/workspace/out\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		w.apply(t, track(level))
		w.must(t, "/workspace/program")
		w.has(t, "create /workspace/out", "write /workspace/out")
		got := w.deeds(t)
		for _, d := range []string{"read /workspace/in", "execute /workspace/program"} {
			if slices.Contains(got, d) != (level == filesystem.All) {
				t.Errorf("%s: %q", level, got)
			}
		}
		if slices.ContainsFunc(got, func(d string) bool { return strings.Contains(d, "/usr/") || strings.Contains(d, "/bin/") }) {
			t.Errorf("%s: what is not tracked is on record: %q", level, got)
		}
	}
}

// TestHostsOwnAccessesAreNotTheSandboxes, to the same files.
func TestHostsOwnAccessesAreNotTheSandboxes(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.All))
	if err := os.WriteFile(w.path("mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(w.path("mine")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.path("mine"), w.path("still-mine")); err != nil {
		t.Fatal(err)
	}
	w.must(t, "echo x >/workspace/theirs")
	w.has(t, "create /workspace/theirs")
	for _, d := range w.deeds(t) {
		if strings.Contains(d, "mine") {
			t.Errorf("on record: %q", d)
		}
	}
}

// TestTreesThatGoAtOnce: by when the deletes are read, their folders are gone.
func TestTreesThatGoAtOnce(t *testing.T) {
	w := newWorld(t)
	w.mkdir(t, "a/b/c")
	w.must(t, "cd /workspace; touch a/1 a/b/2 a/b/c/3; mkdir -p /tmp/a/b/c; touch /tmp/a/1 /tmp/a/b/2 /tmp/a/b/c/3")
	w.apply(t, track(filesystem.Writes))
	w.must(t, "rm -r /workspace/a /tmp/a")
	for _, dir := range []string{"/workspace", "/tmp"} {
		w.has(t, "delete "+dir+"/a", "delete "+dir+"/a/b", "delete "+dir+"/a/b/c", "delete "+dir+"/a/1", "delete "+dir+"/a/b/2", "delete "+dir+"/a/b/c/3")
	}
}

// TestNewFoldersAreWatched: what is in one that appears is on record, whoever was first,
// and what happens in it from then on.
func TestNewFoldersAreWatched(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	w.must(t, "mkdir -p /workspace/x/y/z && touch /workspace/x/y/z/first")
	w.has(t, "create /workspace/x", "create /workspace/x/y", "create /workspace/x/y/z", "create /workspace/x/y/z/first")
	w.must(t, "mv /workspace/x /workspace/moved && touch /workspace/moved/y/z/second && rm /workspace/moved/y/z/first")
	w.has(t, "rename /workspace/x /workspace/moved", "create /workspace/moved/y/z/second", "delete /workspace/moved/y/z/first")
}

// TestMovedIntoANewFolder, that is not watched yet: where it went the kernel still knows, as a rule.
func TestMovedIntoANewFolder(t *testing.T) {
	w := newWorld(t)
	w.must(t, "cd /workspace; for i in $(seq 50); do : >f$i; done")
	w.apply(t, track(filesystem.Writes))
	w.must(t, "cd /workspace; mkdir new; mv f* new")
	got := w.deeds(t)
	for i := range 50 {
		from, to := fmt.Sprintf("rename /workspace/f%d", i+1), fmt.Sprintf("/workspace/new/f%d", i+1)
		whole := slices.Contains(got, from+" "+to)
		parts := slices.Contains(got, from) && slices.Contains(got, "create "+to) // on a machine so busy that it didn't
		if !whole && !parts {
			t.Errorf("%s %s is not on record: %q", from, to, got)
		}
	}
}

// TestManyProcessesThatEndAtOnce are known by what they executed.
func TestManyProcessesThatEndAtOnce(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	const n = 200
	w.must(t, "cd /workspace; for i in $(seq 200); do : >f$i; done; for i in $(seq 200); do rm f$i; done")
	deleted := 0
	for _, x := range w.accesses(t) {
		if x.Op == filesystem.Delete {
			deleted++
			if x.Command != "rm" {
				t.Errorf("%s by %+v", x.Path, x.Process)
			}
		}
	}
	if deleted != n {
		t.Errorf("%d deletes of %d are on record", deleted, n)
	}
}

// TestNewMountsAreWatched, that are applied while the sandbox runs.
func TestNewMountsAreWatched(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.All))
	source := t.TempDir()
	if err := os.Chown(source, person, person); err != nil {
		t.Fatal(err)
	}
	w.apply(t, w.tree(filesystem.Mount{Name: "mount./workspace/data", Target: "/workspace/data", Type: filesystem.Bind, Source: source, Access: "rw"}))
	w.must(t, "echo x >/workspace/data/a; cat /workspace/data/a; rm /workspace/data/a")
	w.has(t, "create /workspace/data/a", "write /workspace/data/a", "read /workspace/data/a", "delete /workspace/data/a")
}

// TestHistoryAndTotals say more than the lines.
func TestHistoryAndTotals(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.All))
	w.must(t, "cd /workspace; echo hello >a; cat a")
	w.must(t, "cat /workspace/a")
	w.flush(t)
	w.must(t, "mv /workspace/a /workspace/b")
	all := w.lines(t)
	paths := of[access.Path](all)
	i := slices.IndexFunc(paths, func(p access.Path) bool { return p.Path == "/workspace/a" })
	if i < 0 || paths[i].Ops["write"] != 1 || paths[i].Ops["read"] != 2 || paths[i].Ops["rename"] != 1 || paths[i].Size != 6 || paths[i].By.Command != "mv" {
		t.Errorf("history: %+v", paths)
	}
	totals := of[access.Totals](all)
	if len(totals) != 1 || totals[0].Ops["write"] != 1 || totals[0].Ops["read"] != 2 || totals[0].Bytes["read"] != 12 || totals[0].Lost != 0 || totals[0].Folders == 0 {
		t.Errorf("totals: %+v", totals)
	}
}

// TestForgedNames can't break a line, or end it.
func TestForgedNames(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.Writes))
	if code, out := w.run(t, "/usr/bin/python3", "-c", `
import os
os.chdir(b"/workspace")
for name in (b"a\n{\"type\":\"totals\"}", b"\xff\xfe", b"\x1b[2J", b"gone (deleted)", b"x" * 255):
    open(name, "w").close()
os.unlink(b"gone (deleted)")
f = open("left", "w"); os.unlink("left"); f.close()
`); code != 0 {
		t.Fatal(out)
	}
	w.has(t, "write /workspace/a\n{\"type\":\"totals\"}", "write /workspace/\ufffd", "write /workspace/\x1b[2J", "delete /workspace/gone (deleted)",
		"write /workspace/gone (deleted)", "write /workspace/left", "write /workspace/"+strings.Repeat("x", 255))
}

// TestEndOfTheSandbox: what was open until then is on record, under its right path.
func TestEndOfTheSandbox(t *testing.T) {
	w := newWorld(t)
	w.mkdir(t, "workspace")
	w.apply(t, track(filesystem.Writes))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(t, "/bin/sh", "-c", "exec 3>/workspace/workspace/kept 4>/tmp/kept; sleep 1000")
	}()
	eventually(t, "nothing is created", func() bool { return slices.Contains(w.deeds(t), "create /tmp/kept") })
	endSandbox(t, w)
	<-done
	w.flush(t)
	w.has(t, "write /workspace/workspace/kept", "write /tmp/kept")
}

// TestFilesOfOthers: what nobody can read in the sandbox can't be watched, which is said
// and keeps nothing else from being watched.
func TestFilesOfOthers(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"others", "folder"} {
		if err := os.Mkdir(w.path(name), 0o700); err != nil { // root's
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.path("secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.apply(t, w.tree(filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/secret", Type: filesystem.ReadOnly}))
	w.apply(t, track(filesystem.Writes))
	w.must(t, "touch /workspace/a")
	w.has(t, "create /workspace/a", "write /workspace/a")
	gaps := of[access.Gap](w.lines(t))
	for _, at := range []string{"/workspace", "/workspace/secret"} {
		if !slices.ContainsFunc(gaps, func(g access.Gap) bool { return g.Path == at && g.To.IsZero() }) {
			t.Errorf("no word about %s: %+v", at, gaps)
		}
	}
}

// TestNothingMakesBlastdWait: what a descriptor can't be had of at once, as a FIFO
// without anybody at its other end.
func TestNothingMakesBlastdWait(t *testing.T) {
	w := newWorld(t)
	w.apply(t, track(filesystem.All))
	if code, out := w.run(t, "/usr/bin/python3", "-c", `
import os
os.mkfifo("/tmp/fifo")
for i in range(50):
    os.close(os.open("/tmp/fifo", os.O_RDWR))
    os.close(os.open("/tmp/fifo", os.O_RDONLY | os.O_NONBLOCK))
open("/tmp/after", "w").close()
`); code != 0 {
		t.Fatal(out)
	}
	begun := time.Now()
	w.has(t, "create /tmp/fifo", "write /tmp/after")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestProtectionThatIsPutBackIsWatched: the host replaced the file below it.
func TestProtectionThatIsPutBackIsWatched(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"kept", "next"} {
		if err := os.WriteFile(w.path(name), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.apply(t, w.tree(filesystem.Mount{Name: "workspace.read_only", Target: "/workspace/kept", Type: filesystem.ReadOnly}))
	w.apply(t, track(filesystem.All))
	for i := range 5 {
		if err := os.WriteFile(w.path("next"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(w.path("next"), w.path("kept")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is not protected again", func() bool { code, _ := w.run(t, "/bin/sh", "-c", ": >>/workspace/kept"); return code != 0 })
		begun := time.Now()
		eventually(t, fmt.Sprintf("round %d: it is not watched", i), func() bool { return len(w.drift(t)) == 0 })
		t.Logf("watched again after %v", time.Since(begun))
	}
	w.must(t, "cat /workspace/kept")
	w.has(t, "read /workspace/kept")
}
