//go:build linux

package generation

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/packages/wheel"
)

const nonBlocking = unix.O_NONBLOCK

// maxTold is how many differences are told one by one.
const maxTold = 5

// A node is what has to be at a path.
type node struct {
	mode uint32 // type and permissions, as in stat(2)
	size int64  // of a file
	link string // where a link leads
}

// nodes are all paths of a generation, folders included.
func (m manifest) nodes() map[string]node {
	all := make(map[string]node, len(m.Files)+len(m.Files)/4+len(m.Links)+1)
	all[manifestName] = node{mode: unix.S_IFREG | 0o600, size: -1}
	add := func(p string, n node) {
		all[p] = n
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, there := all[dir]; there {
				break
			}
			all[dir] = node{mode: unix.S_IFDIR | uint32(folderMode)}
		}
	}
	for _, f := range m.Files {
		add(f.Path, node{mode: unix.S_IFREG | uint32(f.mode()), size: f.Size})
	}
	for p, to := range m.Links {
		add(p, node{mode: unix.S_IFLNK, link: to})
	}
	return all
}

// inspection compares a folder with what it was made of, looking at every name
// once: kind, mode, owner, size and time, but no content. Times tell a change in
// place, as all files have the same at first.
type inspection struct {
	want  map[string]node // not seen yet
	owner uint32
	found []string
}

// inspect tells how generation id differs from its manifest, in short sentences.
func (f *folder) inspect(id string, m manifest) ([]string, error) {
	d, err := openAt(f.dir, id)
	if err != nil {
		return nil, fmt.Errorf("inspect packages: %w", err)
	}
	defer func() { _ = d.Close() }()
	fi, err := d.Stat()
	if err != nil {
		return nil, fmt.Errorf("inspect packages: %w", err)
	}
	i := &inspection{want: m.nodes(), owner: uint32(os.Geteuid())} //nolint:gosec // a user id
	if fi.Mode() != fs.ModeDir|folderMode || owner(fi) != i.owner {
		i.tell(id, "mode or owner was changed")
	}
	if err := i.folder(d, ""); err != nil {
		return nil, fmt.Errorf("inspect packages: %w", err)
	}
	for p := range i.want {
		i.tell(p, "is missing")
	}
	return i.summary(), nil
}

func (i *inspection) tell(p, what string) {
	i.found = append(i.found, fmt.Sprintf("%s %s", clip(p), what))
}

// folder looks at everything in d, which is at path dir.
func (i *inspection) folder(d *os.File, dir string) error {
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue // gone meanwhile: it is missing in the end
		}
		p := path.Join(dir, name)
		n, wanted := i.want[p]
		if !wanted {
			i.tell(p, "is not of any package")
			continue
		}
		delete(i.want, p)
		if what := n.differs(d, name, &st, i.owner); what != "" {
			i.tell(p, what)
		}
		if st.Mode&n.mode&unix.S_IFMT == unix.S_IFDIR {
			if err := i.subfolder(d, name, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *inspection) subfolder(d *os.File, name, p string) error {
	sub, err := openAt(d, name)
	if err != nil {
		i.tell(p, "can't be opened: something is mounted there")
		return nil
	}
	defer func() { _ = sub.Close() }()
	return i.folder(sub, p)
}

// unchanged is the time of every file.
var unchanged = unix.NsecToTimespec(wheel.Time.UnixNano())

func (n node) differs(d *os.File, name string, st *unix.Stat_t, owner uint32) string {
	kind := n.mode & unix.S_IFMT
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return "is of another kind"
	case st.Uid != owner:
		return fmt.Sprintf("belongs to user %d", st.Uid)
	case kind == unix.S_IFLNK:
		if to := readlink(d, name); to != n.link {
			return "leads to " + clip(to)
		}
	case st.Mode != n.mode:
		return fmt.Sprintf("has mode %04o", st.Mode&^uint32(unix.S_IFMT))
	case kind == unix.S_IFREG && n.size >= 0 && (st.Size != n.size || st.Mtim != unchanged):
		return "was changed on " + time.Unix(st.Mtim.Unix()).UTC().Format(time.DateOnly)
	}
	return ""
}

func readlink(d *os.File, name string) string {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d.Fd()), name, b)
	if err != nil {
		return "nowhere"
	}
	return string(b[:n])
}

// summary names some of the differences, always the same ones.
func (i *inspection) summary() []string {
	slices.Sort(i.found)
	if more := len(i.found) - maxTold; more > 0 {
		return append(i.found[:maxTold:maxTold], fmt.Sprintf("%d more files differ", more))
	}
	return i.found
}

// clip keeps a message about a path short: its end says most.
func clip(p string) string {
	const most = 80
	p = strings.ToValidUTF8(p, "?")
	if len(p) <= most {
		return p
	}
	return "..." + strings.ToValidUTF8(p[len(p)-most:], "")
}
