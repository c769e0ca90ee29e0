//go:build linux

package track

import (
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/filesystem/track/fan"
)

// A batch is what was in the queue of names at one time. By when it is read a folder may
// be gone in which something happened: then what happened to the folder, which is in the
// queue, too, says where it was.
type batch struct {
	m      *marks
	events []named
	fates  map[fan.Handle]fate
	paths  map[fan.Handle]string   // that were found
	roots  map[uint64]*os.File     // of mounts
	over   bool                    // the sandbox has ended, and its mounts with it
	dead   map[fan.Handle]struct{} // folders to forget
}

// named is an event with who did it.
type named struct {
	fan.Event
	who   access.Process
	where place
	at    time.Time
}

// fate is where a folder was when something happened to its name.
type fate struct {
	dir  fan.Handle
	name string
}

func newBatch(m *marks, over bool) *batch {
	return &batch{m: m, over: over, fates: map[fan.Handle]fate{}, paths: map[fan.Handle]string{}, roots: map[uint64]*os.File{}, dead: map[fan.Handle]struct{}{}}
}

// close forgets what was deleted.
func (b *batch) close() {
	for _, f := range b.roots {
		_ = f.Close()
	}
	for h := range b.dead {
		delete(b.m.folders, h)
	}
}

// add takes in an event.
func (b *batch) add(n named) {
	b.events = append(b.events, n)
	if !n.Folder() {
		return
	}
	switch {
	case n.NewName != "":
		b.fates[n.Object] = fate{n.NewDir, n.NewName}
	case n.Name != "":
		b.fates[n.Object] = fate{n.Dir, n.Name}
	}
	if n.Mask&unix.FAN_DELETE != 0 {
		b.dead[n.Object] = struct{}{}
	}
}

// maxDepth bounds how far a fate is followed: no path has more parts.
const maxDepth = 2048

// path is that of a name in a folder; "" if it isn't known.
func (b *batch) path(dir fan.Handle, name string) string {
	if name == "" {
		return ""
	}
	d := b.folder(dir, 0)
	if d == "" {
		return ""
	}
	return path.Join(d, name)
}

func (b *batch) folder(h fan.Handle, depth int) string {
	if p, ok := b.paths[h]; ok || depth > maxDepth {
		return p
	}
	p := ""
	if !b.over {
		p = b.resolve(h)
	}
	if p == "" {
		p = b.m.folders[h].path
	}
	if f, ok := b.fates[h]; ok && p == "" {
		if d := b.folder(f.dir, depth+1); d != "" {
			p = path.Join(d, f.name)
		}
	}
	b.paths[h] = p
	return p
}

// resolve asks the kernel where a folder is, in the sandbox.
func (b *batch) resolve(h fan.Handle) string {
	known, ok := b.m.folders[h]
	if ok {
		if p := b.on(known.mount, h); p != "" {
			b.m.folders[h] = folder{p, known.mount}
			return p
		}
	}
	for id, m := range b.m.mounts {
		if m.fs == h.FS && id != known.mount {
			if p := b.on(id, h); p != "" {
				return p
			}
		}
	}
	return ""
}

// on is where a folder is on one mount.
func (b *batch) on(id uint64, h fan.Handle) string {
	m := b.m.mounts[id]
	if m == nil || m.gone {
		return ""
	}
	root := b.root(id, m)
	if root == nil {
		return ""
	}
	f, err := h.Open(root)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	p, err := os.Readlink(linkOf(int(f.Fd())))
	if err != nil || !within(p, m.Point) { // it isn't below the mount's root
		return ""
	}
	if p == "/" && !sameFile(f, root) { // nor is this, and the kernel has no other word for it
		return ""
	}
	return p
}

func sameFile(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func linkOf(fd int) string { return fmt.Sprintf("/proc/thread-self/fd/%d", fd) }

// root opens the root of a mount to find others by; nil if it can't be reached.
func (b *batch) root(id uint64, m *mount) *os.File {
	if f, ok := b.roots[id]; ok {
		return f
	}
	b.roots[id] = nil
	place, err := b.m.view.Open(m.Point)
	if err != nil {
		return nil
	}
	defer func() { _ = place.Close() }()
	if is, _, err := mountns.ID(place); err != nil || is != id {
		return nil
	}
	f, err := mountns.OpenAt(place, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err == nil {
		b.roots[id] = f
	}
	return b.roots[id]
}

// accesses are what an event means. They are told in the order in which it happened.
func (b *batch) accesses(n named) []access.Access {
	x := access.Access{Time: n.at, Folder: n.Folder(), Process: n.who}
	if n.Mask&unix.FAN_RENAME != 0 {
		x.Op, x.Path, x.To = filesystem.Rename, b.path(n.Dir, n.Name), b.path(n.NewDir, n.NewName)
		if n.NewName == "" && !b.over { // into a folder that is not watched yet, or that nobody sees
			x.To = b.resolve(n.Object)
		}
		switch {
		case x.Path == "" && x.To == "":
			return nil
		case x.Path == "": // from where nobody looks
			x.Op, x.Path, x.To = filesystem.Create, x.To, ""
		}
		return []access.Access{x}
	}
	var all []access.Access
	if x.Path = b.path(n.Dir, n.Name); x.Path == "" {
		return nil
	}
	if n.Mask&unix.FAN_CREATE != 0 {
		x.Op = filesystem.Create
		all = append(all, x)
	}
	if n.Mask&unix.FAN_DELETE != 0 {
		x.Op = filesystem.Delete
		all = append(all, x)
	}
	return all
}

// follow watches a folder that was created, or renamed to where one is watched, and all
// below it. found hears of what is in it already.
func (b *batch) follow(n named, found func(p string, dir bool)) error {
	dir, name := n.Dir, n.Name
	if n.Mask&unix.FAN_RENAME != 0 {
		dir, name = n.NewDir, n.NewName
	}
	parent, watched := b.m.folders[dir]
	if _, known := b.m.folders[n.Object]; !n.Folder() || !watched || known || name == "" || b.over {
		return nil
	}
	root := b.root(parent.mount, b.m.mounts[parent.mount])
	if root == nil {
		return nil
	}
	in, err := dir.Open(root)
	if err != nil {
		return nil // it is gone again
	}
	defer func() { _ = in.Close() }()
	f, err := mountns.OpenAt(in, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	at := b.path(dir, name)
	return b.m.walk(f, at, parent.mount, func(rel string, dir bool) { found(path.Join(at, rel), dir) })
}
