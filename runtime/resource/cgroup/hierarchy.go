package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A hierarchy is one mounted tree of cgroups.
type hierarchy struct {
	root        string   // mount point
	v2          bool     //
	controllers []string // "memory", "blkio"; what a named v1 hierarchy has is none
}

func (h hierarchy) has(controller string) bool { return slices.Contains(h.controllers, controller) }

// hierarchies finds the cgroup mounts of this process by looking, not by the
// names they usually have.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer func() { _ = f.Close() }()
	found, err := parseMounts(f)
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	var all []hierarchy
	for _, h := range found {
		var st unix.Statfs_t
		if unix.Statfs(h.root, &st) != nil || st.Type != unix.CGROUP_SUPER_MAGIC && st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue // something else is mounted over it
		}
		if h.v2 {
			text, err := readFile(h.root, "cgroup.controllers")
			if err != nil {
				return nil, fmt.Errorf("find cgroups: %w", err)
			}
			h.controllers = strings.Fields(text)
		}
		all = append(all, h)
	}
	return all, nil
}

// parseMounts reads mountinfo, proc_pid_mountinfo(5): field 5 is the mount
// point; after " - " come the type, the source and the super block's options,
// among which v1 lists its controllers. Of several mounts of one hierarchy the
// one below /sys/fs/cgroup wins, where everybody looks, then the first.
func parseMounts(r io.Reader) ([]hierarchy, error) {
	byIdentity := map[string]int{}
	var all []hierarchy
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		mount, super, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(mount), strings.Fields(super)
		if !ok || len(fields) < 5 || len(tail) < 3 || tail[0] != "cgroup" && tail[0] != "cgroup2" {
			continue
		}
		h := hierarchy{root: unescape(fields[4]), v2: tail[0] == "cgroup2"}
		if !h.v2 {
			h.controllers = slices.DeleteFunc(strings.Split(tail[2], ","), func(o string) bool {
				return o == "rw" || o == "ro" || strings.Contains(o, "=")
			})
		}
		id := fields[2] // major:minor: the same for all mounts of a hierarchy
		if i, seen := byIdentity[id]; !seen {
			byIdentity[id] = len(all)
			all = append(all, h)
		} else if usual(h.root) && !usual(all[i].root) {
			all[i] = h
		}
	}
	return all, lines.Err()
}

func usual(root string) bool {
	return root == "/sys/fs/cgroup" || strings.HasPrefix(root, "/sys/fs/cgroup/")
}

// unescape undoes mountinfo's octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// checkPath refuses paths that are not a group of their own: what is removed
// with all its processes must never be the root of a hierarchy.
func checkPath(group string) error {
	if !filepath.IsAbs(group) || filepath.Clean(group) != group || filepath.Dir(group) == "/" {
		return fmt.Errorf("cgroup %q is not of the form /blast/<id>", group)
	}
	return nil
}

// makeGroup makes group and its parents in h. On v2 it hands the controllers
// down to it. The last environment to leave may remove the parent at any moment,
// so it starts again when that happens.
func (h hierarchy) makeGroup(group string, controllers []string) error {
	var err error
	for range 100 {
		if err = h.tryMakeGroup(group, controllers); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func (h hierarchy) tryMakeGroup(group string, controllers []string) error {
	dir := h.root
	for name := range strings.SplitSeq(strings.Trim(group, "/"), "/") {
		if h.v2 {
			if err := delegate(dir, controllers); err != nil {
				return err
			}
		}
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if !h.v2 && h.has("memory") {
			if err := hierarchical(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the children of dir, a v2 cgroup, have controllers.
func delegate(dir string, controllers []string) error {
	text, err := readFile(dir, "cgroup.subtree_control")
	if err != nil {
		return err
	}
	on := strings.Fields(text)
	for _, c := range controllers {
		if slices.Contains(on, c) {
			continue
		}
		err := writeFile(dir, "cgroup.subtree_control", "+"+c)
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("hand the %s controller down from %s, which has processes of its own (move them to a child): %w", c, dir, err)
		}
		if err != nil {
			return fmt.Errorf("hand the %s controller down from %s: %w", c, dir, err)
		}
	}
	return nil
}

// hierarchical makes a v1 memory limit hold for the group's children too. Since
// kernel 5.11 it always does.
func hierarchical(dir string) error {
	text, err := readFile(dir, "memory.use_hierarchy")
	if errors.Is(err, fs.ErrNotExist) || err == nil && text == "1" {
		return nil
	}
	if err != nil {
		return err
	}
	return writeFile(dir, "memory.use_hierarchy", "1")
}

// maxFile bounds what is read from a cgroup's file: a list of a million pids.
const maxFile = 8 << 20

// readFile returns a cgroup file's text without the space around it.
func readFile(dir, name string) (string, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return strings.TrimSpace(string(b)), err
}

// writeFile writes a cgroup's file in one call, as the kernel wants it, and
// never makes one. It goes past os.File, whose poller would take the EAGAIN of
// memory.reclaim for "wait until writable", and wait for ever.
func writeFile(dir, name, text string) error {
	path := filepath.Join(dir, name)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	for {
		_, err = unix.Write(fd, []byte(text))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return &fs.PathError{Op: fmt.Sprintf("write %q to", text), Path: path, Err: err}
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// Mode says which version of cgroups this host uses: "v2"; "v1"; "hybrid", v1
// with a v2 hierarchy beside it; or "none".
func Mode() (string, error) {
	hs, err := hierarchies()
	if err != nil {
		return "", err
	}
	v1 := slices.ContainsFunc(hs, func(h hierarchy) bool { return !h.v2 })
	v2 := slices.ContainsFunc(hs, func(h hierarchy) bool { return h.v2 })
	switch {
	case v1 && v2:
		return "hybrid", nil
	case v1:
		return "v1", nil
	case v2:
		return "v2", nil
	}
	return "none", nil
}
