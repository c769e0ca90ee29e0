//go:build linux

package room

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

// TestPause: the less there is to go, the sooner it is looked, and not without end.
func TestPause(t *testing.T) {
	for _, c := range []struct {
		above, floor int64
		want         time.Duration
	}{
		{100 << 30, 1 << 30, time.Second},
		{1 << 30, 1 << 30, 375 * time.Millisecond},
		{0, 1 << 30, 125 * time.Millisecond},
		{-5, 1 << 30, 125 * time.Millisecond},
		{0, 1 << 20, 5 * time.Millisecond},
		{1 << 62, 1 << 61, time.Second},
	} {
		if got := pause(c.above, c.floor); got != c.want {
			t.Errorf("%d above %d: %v, want %v", c.above, c.floor, got, c.want)
		}
	}
}

func TestFloor(t *testing.T) {
	large, small := space{size: 100 << 30, free: 9 << 30, all: 1 << 20, inodes: 5000}, space{size: 1 << 30}
	for name, c := range map[string]struct {
		got, want reserve
	}{
		"default":            {floorOf(filesystem.Tree{}, large, nil), reserve{1 << 30, mostInodes}},
		"of a small disk":    {floorOf(filesystem.Tree{}, small, nil), reserve{1 << 30 / 20, 0}},
		"written":            {floorOf(filesystem.Tree{Reserve: 7 << 30}, small, nil), reserve{7 << 30, 0}},
		"none":               {floorOf(filesystem.Tree{Reserve: filesystem.NoReserve}, large, nil), reserve{}},
		"by force":           {floorOf(filesystem.Tree{}, large, &Floor{1 << 20, 3}), reserve{1 << 20, 3}},
		"by force, but more": {floorOf(filesystem.Tree{}, large, &Floor{1 << 40, 1 << 40}), reserve{1 << 30, mostInodes}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
	if large.lack(reserve{1 << 30, 5001}) == "" || large.lack(reserve{10 << 30, 0}) == "" || large.lack(reserve{9 << 30, 5000}) != "" || (space{}).lack(reserve{0, 9}) != "" {
		t.Error("lack")
	}
}

// TestSourceThatIsGone is no reason not to watch the others, and a link is not followed.
func TestSourceThatIsGone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it clones mounts")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/shm", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	env := state.Env{Project: dir, Dir: filepath.Join(dir, ".blast", "x"), Run: filepath.Join(dir, "run")}
	rw := func(source string) filesystem.Mount {
		return filesystem.Mount{Type: filesystem.Bind, Access: "rw", Source: source}
	}
	tree := filesystem.Tree{Mounts: []filesystem.Mount{rw(dir + "/gone"), rw(dir + "/link"), rw("/dev/shm"), rw(dir), {Type: filesystem.Bind, Access: "ro", Source: "/run"}}}
	disks, err := disksOf(env, tree)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(disks)
	var paths []string
	for _, d := range disks {
		paths = append(paths, d.path)
	}
	if len(paths) != 2 || paths[0] != dir || paths[1] != "/dev/shm" {
		t.Errorf("%q", paths)
	}
}

// BenchmarkLook is one look at one disk, far from its reserve and near to it.
func BenchmarkLook(b *testing.B) {
	f, err := mountns.OpenHost("/")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	env := state.Env{Run: b.TempDir()}
	if err := (usage.Groups{Memory: "/sys/fs/cgroup/memory"}).Keep(env); err != nil {
		b.Fatal(err)
	}
	for name, floor := range map[string]int64{"far": 0, "near": freeNow(b, f) - 1<<30} {
		w := &watch{env: env, disks: []*disk{{path: "/", root: f, floor: reserve{bytes: floor}}}, log: slog.New(slog.DiscardHandler)}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.look(b.Context())
			}
		})
	}
}

func freeNow(b *testing.B, f *os.File) int64 {
	b.Helper()
	is, err := (&disk{path: "/", root: f}).look()
	if err != nil {
		b.Fatal(err)
	}
	return is.free
}
