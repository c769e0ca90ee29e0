package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A device is a block device that can be throttled.
type device struct{ major, minor uint32 }

func (d device) String() string {
	return strconv.FormatUint(uint64(d.major), 10) + ":" + strconv.FormatUint(uint64(d.minor), 10)
}

// sys is the device's folder in sysfs.
func (d device) sys() string { return "/sys/dev/block/" + d.String() }

// name is the kernel's name of it: "sda".
func (d device) name() string {
	real, err := filepath.EvalSymlinks(d.sys())
	if err != nil {
		return d.String()
	}
	return filepath.Base(real)
}

// errNoDevice means that a path lies on no block device: on memory, or on the
// network.
var errNoDevice = errors.New("no block device")

// backing returns the devices on which the files of all paths lie.
func backing(paths ...string) ([]device, error) {
	var all []device
	for _, p := range paths {
		devs, err := backingOf(p, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range devs {
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return all, nil
}

// maxStack bounds how many file systems may lie on one another, as the kernel's
// own FILESYSTEM_MAX_STACK_DEPTH does.
const maxStack = 3

func backingOf(path string, depth int) ([]device, error) {
	path, st, err := statNearest(path)
	if err != nil {
		return nil, err
	}
	d := device{unix.Major(st.Dev), unix.Minor(st.Dev)}
	if d.major != 0 {
		whole, err := d.whole()
		return []device{whole}, err
	}
	// An anonymous number: a file system of its own kind. The mount knows more.
	m, err := mountOf(path)
	if err != nil {
		return nil, err
	}
	switch {
	case m.fstype == "overlay" && depth < maxStack && m.upper() != "":
		return backingOf(m.upper(), depth+1)
	case m.fstype == "btrfs":
		return btrfsDevices(m.source)
	case strings.HasPrefix(m.source, "/dev/"):
		d, err := nodeOf(m.source)
		return []device{d}, err
	}
	return nil, fmt.Errorf("%s is on %s: %w", path, m.fstype, errNoDevice)
}

// statNearest stats path or, while it does not exist yet, the folder it will be in.
func statNearest(path string) (string, unix.Stat_t, error) {
	for {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		if err == nil {
			return path, st, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" || path == "." {
			return path, st, fmt.Errorf("find the disk of %s: %w", path, err)
		}
		path = filepath.Dir(path)
	}
}

// whole returns the disk that a partition is on: only disks are throttled.
func (d device) whole() (device, error) {
	if !exists(d.sys(), "partition") {
		return d, nil
	}
	real, err := filepath.EvalSymlinks(d.sys())
	if err != nil {
		return d, fmt.Errorf("find the disk of partition %s: %w", d, err)
	}
	return deviceIn(filepath.Dir(real))
}

// deviceIn reads the number of the device that has this folder in sysfs.
func deviceIn(dir string) (device, error) {
	text, err := readFile(dir, "dev")
	if err != nil {
		return device{}, fmt.Errorf("find device number: %w", err)
	}
	var d device
	if _, err := fmt.Sscanf(text, "%d:%d", &d.major, &d.minor); err != nil {
		return d, fmt.Errorf("device number %q: %w", text, err)
	}
	return d, nil
}

// nodeOf returns the disk behind a device node.
func nodeOf(node string) (device, error) {
	var st unix.Stat_t
	if err := unix.Stat(node, &st); err != nil {
		return device{}, fmt.Errorf("find the disk %s: %w", node, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return device{}, fmt.Errorf("%s: %w", node, errNoDevice)
	}
	return device{unix.Major(st.Rdev), unix.Minor(st.Rdev)}.whole()
}

// btrfsDevices returns all disks of the btrfs that has this one.
func btrfsDevices(source string) ([]device, error) {
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return nil, fmt.Errorf("find the disks of btrfs: %w", err)
	}
	members, err := filepath.Glob("/sys/fs/btrfs/*/devices/" + filepath.Base(real))
	if err != nil || len(members) == 0 {
		return nil, fmt.Errorf("find the disks of btrfs on %s: %w", source, errNoDevice)
	}
	es, err := os.ReadDir(filepath.Dir(members[0]))
	if err != nil {
		return nil, fmt.Errorf("find the disks of btrfs: %w", err)
	}
	var all []device
	for _, e := range es {
		d, err := deviceIn(filepath.Join("/sys/class/block", e.Name()))
		if err == nil {
			d, err = d.whole()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// leaves returns the disks below a stacked device such as LVM's: it is they that
// have a scheduler.
func (d device) leaves() []device {
	slaves, _ := filepath.Glob(d.sys() + "/slaves/*")
	if len(slaves) == 0 {
		return []device{d}
	}
	var all []device
	for _, s := range slaves {
		below, err := deviceIn(s)
		if err == nil {
			below, err = below.whole()
		}
		if err != nil {
			return []device{d}
		}
		all = append(all, below.leaves()...)
	}
	return all
}

// scheduler is the active one, in brackets among those that there are.
func (d device) scheduler() string {
	text, err := readFile(d.sys(), "queue/scheduler")
	if err != nil {
		return "unknown"
	}
	if _, after, ok := strings.Cut(text, "["); ok {
		text, _, _ = strings.Cut(after, "]")
	}
	return text
}

// A mount is what mountinfo says about one.
type mount struct{ fstype, source, options string }

// upper is the writable layer of an overlay.
func (m mount) upper() string {
	for o := range strings.SplitSeq(m.options, ",") {
		if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
			return unescape(dir)
		}
	}
	return ""
}

// mountOf finds the mount that path is on by its id.
func mountOf(path string) (mount, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return mount{}, fmt.Errorf("find the mount of %s: %w", path, err)
	}
	text, err := readFile("/proc/self", "mountinfo")
	if err != nil {
		return mount{}, fmt.Errorf("find the mount of %s: %w", path, err)
	}
	id := strconv.FormatUint(st.Mnt_id, 10) + " "
	for line := range strings.Lines(text) {
		_, super, ok := strings.Cut(line, " - ")
		if f := strings.Fields(super); ok && strings.HasPrefix(line, id) && len(f) >= 3 {
			return mount{f[0], unescape(f[1]), f[2]}, nil
		}
	}
	return mount{}, fmt.Errorf("find the mount of %s: not in mountinfo", path)
}
