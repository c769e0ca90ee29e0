package denial

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openLog(t *testing.T) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), File)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

func TestWrittenIsRead(t *testing.T) {
	l, path := openLog(t)
	from := End(path)
	for _, host := range []string{"a.example", "b.example"} {
		if err := l.Add(Denial{Op: Resolve, Host: host, Command: "curl"}); err != nil {
			t.Fatal(err)
		}
	}
	ds, next, err := Read(path, from)
	if err != nil || len(ds) != 2 || ds[0].Target() != "a.example" || ds[1].Command != "curl" || ds[0].Kind != "network" {
		t.Fatalf("got %+v, %v", ds, err)
	}
	if ds, _, _ := Read(path, next); len(ds) != 0 {
		t.Errorf("read again from the end: %+v", ds)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
}

func TestReadNothing(t *testing.T) {
	ds, next, err := Read(filepath.Join(t.TempDir(), "absent"), 42)
	if err != nil || ds != nil || next != 0 {
		t.Errorf("got %v, %d, %v", ds, next, err)
	}
}

func TestReadSkipsWhatIsNoDenial(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	text := "not json\n" + strings.Repeat("x", 2*maxLine) + "\n" + `{"host":"a.example"}` + "\n" + `{"host":"half`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ds, next, err := Read(path, 0)
	if err != nil || len(ds) != 1 || ds[0].Host != "a.example" {
		t.Fatalf("got %+v, %v", ds, err)
	}
	if want := int64(strings.LastIndexByte(text, '\n') + 1); next != want {
		t.Errorf("next is %d, want %d: a half line is read later", next, want)
	}
}

func TestSameIsWrittenOnce(t *testing.T) {
	l, path := openLog(t)
	now := time.Now()
	for _, at := range []time.Duration{0, sameFor / 2, 2 * sameFor} {
		if err := l.Add(Denial{Time: now.Add(at), Op: Connect, Addr: "192.0.2.1", Port: 80, HostPID: 7}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add(Denial{Time: now.Add(2 * sameFor), Op: Connect, Addr: "192.0.2.1", Port: 80, HostPID: 8}); err != nil {
		t.Fatal(err)
	}
	ds, _, _ := Read(path, 0)
	if len(ds) != 3 {
		t.Errorf("%d lines, want 3: %+v", len(ds), ds)
	}
}

func TestFloodIsBounded(t *testing.T) {
	l, path := openLog(t)
	now := time.Now()
	for i := range 3 * burst {
		if err := l.Add(Denial{Time: now, Op: Resolve, Host: fmt.Sprintf("%d.example", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add(Denial{Time: now.Add(time.Minute), Op: Resolve, Host: "last.example"}); err != nil {
		t.Fatal(err)
	}
	ds, _, _ := Read(path, 0)
	if last := ds[len(ds)-1]; len(ds) != burst+1 || last.Missed != 2*burst {
		t.Errorf("%d lines, last %+v; want %d lines and %d missed", len(ds), last, burst+1, 2*burst)
	}
	if len(l.recent) > maxRecent {
		t.Errorf("%d things remembered", len(l.recent))
	}
}

func TestLongRecordIsHalved(t *testing.T) {
	l, path := openLog(t)
	if err := os.WriteFile(path, []byte(strings.Repeat(`{"host":"old.example"}`+"\n", maxSize/23)), 0o600); err != nil {
		t.Fatal(err)
	}
	end := End(path)
	for i := range 3 {
		if err := l.Add(Denial{Op: Resolve, Host: fmt.Sprintf("new%d.example", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if size := End(path); size > maxSize*2/3 {
		t.Errorf("record has %d bytes", size)
	}
	ds, _, err := Read(path, end) // a reader from before starts over and misses nothing new
	if err != nil || len(ds) == 0 || ds[len(ds)-1].Host != "new2.example" || ds[0].Host != "old.example" {
		t.Errorf("%d denials, %v", len(ds), err)
	}
}
