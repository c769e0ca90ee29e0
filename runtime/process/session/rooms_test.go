package session

import (
	"io"
	"os"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/state"
)

func roomsTold(t *testing.T, rooms []state.Room, code int) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	st := state.State{Objects: []plan.Object{{
		Addr: treeAddr, Attrs: []byte(`{"max_file_size":1048576}`),
		Src: map[string]string{"": "blast.hcl:1", "size": "blast.hcl:2", "max_file_size": "blast.hcl:3", "tmpfs./data": "blast.hcl:4", "tmpfs./data.inodes": "blast.hcl:5"},
	}}}
	Session{Stderr: w}.explainRooms(st, rooms, code)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFullRoomsAreExplained(t *testing.T) {
	layer := state.Room{Name: "size", Path: "/home/sandbox", Used: 5 << 30, Max: 5 << 30, Inodes: 9, Most: 100}
	data := state.Room{Name: "tmpfs./data", Path: "/data", Used: 1 << 20, Max: 8 << 20, Inodes: 64, Most: 64, Memory: true}
	text := roomsTold(t, []state.Room{layer, data, {Name: "tmp", Path: "/tmp", Used: 9, Max: 256 << 20, Inodes: 1, Most: 65536}}, 1)
	for _, want := range []string{
		"[R102]", "/home/sandbox in it, is full: 5 GiB of 5 GiB", "blast.hcl:2\n", `write size = "10GiB" in the filesystem block, say; then blast destroy and blast apply`,
		"/data has no inode left of 64", "blast.hcl:5\n", `write inodes = 128 in tmpfs "/data" of the filesystem block, say; then blast apply, and what runs goes on`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no word of %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "/tmp") || strings.Contains(text, "SIGXFSZ") || strings.Count(text, "R102") != 1 {
		t.Errorf("too much is said:\n%s", text)
	}
	if text := roomsTold(t, nil, tooLarge); !strings.Contains(text, "max_file_size is 1 MiB") || !strings.Contains(text, "blast.hcl:3") {
		t.Error(text)
	}
	if text := roomsTold(t, []state.Room{{Name: "size", Max: 100, Used: 98, Most: 2, Inodes: 1}}, 1); text != "" {
		t.Error(text)
	}
}

func TestHoldIsExplained(t *testing.T) {
	for by, said := range map[string]bool{"the reserve of a disk": true, "blast freeze": true, `alert "x"`: false} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		Session{Stderr: w}.explainHold(state.Hold{By: by, Why: "the disk of /a has 1MiB\x1b free", Place: "blast.hcl:7"})
		_ = w.Close()
		b, err := io.ReadAll(r)
		if err != nil || strings.Contains(string(b), "[F102]") != said || said != strings.Contains(string(b), "blast thaw") || strings.Contains(string(b), "\x1b") {
			t.Errorf("%s: %q %v", by, b, err)
		}
	}
}
