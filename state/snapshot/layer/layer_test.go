package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func pack(t testing.TB, dir string) ([]byte, Stats) {
	t.Helper()
	var b bytes.Buffer
	st, err := Pack(t.Context(), open(t, dir), &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), st
}

func source(b []byte) Source { return Source{R: bytes.NewReader(b), Bytes: int64(len(b))} }

func unpack(t testing.TB, b []byte, dir string) (Stats, error) {
	t.Helper()
	return Unpack(t.Context(), source(b), open(t, dir), Owner{os.Geteuid(), os.Getegid()})
}

func do(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// listing is all that a tree has, as far as an archive keeps it.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%s %v %d:%d %d", rel, fi.Mode(), st.Uid, st.Gid, fi.ModTime().UnixNano())
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x blocks=%d", fi.Size(), sum(b), st.Blocks)
		case fi.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			line += " -> " + to
		case fi.Mode()&fs.ModeDevice != 0:
			line += fmt.Sprintf(" %d", st.Rdev)
		}
		if st.Nlink > 1 && !fi.IsDir() {
			if first := inodes[st.Ino]; first != "" {
				line += " = " + first
			} else {
				inodes[st.Ino] = rel
			}
		}
		if !fi.Mode().IsRegular() && !fi.IsDir() {
			out = append(out, line)
			return nil
		}
		list := make([]byte, 4096)
		n, _ := unix.Llistxattr(path, list)
		for name := range strings.SplitSeq(strings.Trim(string(list[:max(n, 0)]), "\x00"), "\x00") {
			value := make([]byte, 4096)
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				line += fmt.Sprintf(" %s=%q", name, value[:n])
			}
		}
		out = append(out, line)
		return nil
	})
	do(t, err)
	return strings.Join(out, "\n")
}

func sum(b []byte) (n uint64) {
	for _, c := range b {
		n = n*1099511628211 + uint64(c) + 1
	}
	return n
}

// furnish makes one of everything that a layer may hold.
func furnish(t testing.TB, dir string) {
	t.Helper()
	p := func(name string) string { return filepath.Join(dir, name) }
	do(t,
		os.MkdirAll(p("home/a/b"), 0o755), os.Mkdir(p("home/a-b"), 0o700), os.Mkdir(p("var-tmp"), 0o1777),
		os.WriteFile(p("home/a/b/file"), []byte("hello"), 0o644),
		os.WriteFile(p("home/empty"), nil, 0o600),
		os.WriteFile(p("home/a.txt"), bytes.Repeat([]byte("0123456789"), 100_000), 0o755),
		os.Link(p("home/a.txt"), p("home/z-again")),
		os.Symlink("/etc/passwd", p("home/link")), os.Symlink("a.txt", p("home/a/rel")),
		os.Link(p("home/link"), p("home/link-again")),
		unix.Mkfifo(p("home/pipe"), 0o600),
		os.WriteFile(p("home/näme \n\t\"\xff\xfe"), []byte("odd"), 0o644),
		os.WriteFile(p("home/"+strings.Repeat("l", 255)), []byte("long"), 0o644),
		os.Chmod(p("home/a"), 0o755|fs.ModeSetgid), os.Chmod(p("var-tmp"), 0o777|fs.ModeSticky),
		unix.Setxattr(p("home/a.txt"), "user.note", []byte("x\x00y"), 0), unix.Setxattr(p("home/a"), "user.folder", []byte("z"), 0),
	)
	holes(t, p("home/holes"), 1<<25, 4096, 1<<20, 1<<24)
	holes(t, p("home/all-hole"), 1<<40)
	if os.Geteuid() == 0 {
		do(t, unix.Mknod(p("home/whiteout"), unix.S_IFCHR|0o600, 0))
	}
	old := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	ts := unix.NsecToTimespec(old.UnixNano())
	do(t, os.Chtimes(p("home/a/b/file"), old, old), os.Chtimes(p("home/a"), old, old), unix.UtimesNanoAt(unix.AT_FDCWD, p("home/link"), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

// holes makes a file of a size with a block of data at each offset.
func holes(t testing.TB, path string, size int64, at ...int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	do(t, err)
	for _, off := range at {
		_, err := f.WriteAt(bytes.Repeat([]byte{'x'}, 4096), off)
		do(t, err)
	}
	do(t, f.Truncate(size), f.Close())
}

func TestThereAndBack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	furnish(t, from)
	b, st := pack(t, from)
	if len(b) > 2<<20 {
		t.Errorf("%d bytes: holes are written", len(b))
	}
	back, err := unpack(t, b, to)
	if err != nil {
		t.Fatal(err)
	}
	if back != st || st.Entries < 15 || st.Sockets != 0 {
		t.Errorf("packed %+v, unpacked %+v", st, back)
	}
	if os.Geteuid() != 0 {
		return
	}
	do(t, os.Remove(filepath.Join(from, "home/all-hole")), os.Remove(filepath.Join(to, "home/all-hole"))) // too long to be read
	want, got := listing(t, from), listing(t, to)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What was unpacked gives the same archive, byte for byte.
	holes(t, filepath.Join(to, "home/all-hole"), 1<<40)
	again := t.TempDir()
	if _, err := unpack(t, b, again); err != nil {
		t.Fatal(err)
	}
	if second, _ := pack(t, again); !bytes.Equal(b, second) {
		t.Error("another archive of the same files")
	}
}

// What is in a layer belongs to one person; what means nothing there is left out.
func TestWhatIsLeftOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	from, to := t.TempDir(), t.TempDir()
	p := filepath.Join(from, "home/x")
	do(t, os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte("x"), 0o755), os.Chown(p, 4711, 4712), os.Chmod(p, 0o755|fs.ModeSetuid|fs.ModeSetgid),
		unix.Setxattr(p, "trusted.overlay.opaque", []byte("y"), 0), unix.Setxattr(p, "security.note", []byte("y"), 0),
		os.Mkdir(filepath.Join(from, lostFound), 0o700))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	do(t, err, unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(from, "home/sock")}), unix.Close(fd))
	b, st := pack(t, from)
	if st.Sockets != 1 || st.Entries != 2 {
		t.Errorf("%+v", st)
	}
	if _, err := Unpack(t.Context(), source(b), open(t, to), Owner{1234, 1235}); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(to, "home/x"))
	do(t, err)
	own := fi.Sys().(*syscall.Stat_t)
	list := make([]byte, 100)
	n, _ := unix.Llistxattr(filepath.Join(to, "home/x"), list)
	if fi.Mode() != 0o755 || own.Uid != 1234 || own.Gid != 1235 || n > 0 {
		t.Errorf("%v %d:%d %q", fi.Mode(), own.Uid, own.Gid, list[:max(n, 0)])
	}
	do(t, unix.Mknod(filepath.Join(from, "home/device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	if _, err := Pack(t.Context(), open(t, from), io.Discard, nil); err == nil || !strings.Contains(err.Error(), "home/device is a device") {
		t.Errorf("a device is saved: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	from := t.TempDir()
	furnish(t, from)
	b, _ := pack(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := Pack(ctx, open(t, from), io.Discard, nil)
	_, err2 := Unpack(ctx, source(b), open(t, t.TempDir()), Owner{})
	_, err3 := Check(ctx, source(b), nil)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
