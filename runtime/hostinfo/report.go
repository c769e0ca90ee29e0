package hostinfo

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Level is how bad a finding is.
type Level string

// The levels. With a Fail, this version of Blast can't keep its promises here;
// with a Warn, some blocks of blast.hcl can't be enforced, and plan refuses them.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Finding is one line of blast doctor.
type Finding struct {
	Level  Level  `json:"level"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// Tier is how a sandbox could be made for this user on this host.
type Tier string

// The tiers. This version of Blast supports TierRoot only.
const (
	TierRoot     Tier = "root"     // all mechanisms
	TierRootless Tier = "rootless" // in a user namespace
	TierConfined Tier = "confined" // no namespaces: Landlock, seccomp and rlimits
)

// Tier decides from what worked.
func (f Facts) Tier() Tier {
	switch {
	case f.System.EUID == 0 && len(f.missingCaps()) == 0:
		return TierRoot
	case f.Namespaces.State == Works:
		return TierRootless
	}
	return TierConfined
}

func (f Facts) missingCaps() []string {
	var missing []string
	for _, c := range []struct {
		number int
		name   string
	}{{capSysAdmin, "CAP_SYS_ADMIN"}, {capNetAdmin, "CAP_NET_ADMIN"}} {
		if !f.System.can(c.number) {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// Report says what follows from the facts, the same way each time, in the order
// in which a sandbox needs them.
func (f Facts) Report() []Finding {
	all := []Finding{f.kernel(), f.privileges()}
	if f.Tier() == TierRoot {
		all = append(all, f.mounts()...)
		all = append(all, f.firewall(), f.cgroups(), f.loop(), f.fanotify())
	} else {
		all = append(all, f.namespaces(), Finding{
			Level: Warn, Title: "not probed", Fix: "Run sudo blast doctor.",
			Detail: "mounts, firewall, cgroups, loop devices and fanotify can be tried as root only",
		})
	}
	all = append(all, f.seccomp(), f.landlock(), f.python(), f.disk())
	for _, name := range f.Unfinished {
		all = append(all, Finding{Level: Warn, Title: name, Detail: "the probe did not answer in time", Fix: "See the kernel's log: dmesg."})
	}
	return all
}

const minKernel = "5.12"

// kernel compares versions only because mount_setattr(2) of 5.12 is the newest
// call that a sandbox can't be made without; whether it works is tried too.
func (f Facts) kernel() Finding {
	major, minor, ok := version(f.System.Kernel)
	switch {
	case !ok:
		return Finding{Level: Warn, Title: "kernel", Detail: fmt.Sprintf("version %q can't be read", f.System.Kernel)}
	case major < 5 || major == 5 && minor < 12:
		return Finding{
			Level: Fail, Title: "kernel",
			Detail: fmt.Sprintf("Linux %s is older than %s, which brought mount_setattr and idmapped mounts", f.System.Kernel, minKernel),
			Fix:    "Use a newer kernel: Debian 12, Ubuntu 22.04, RHEL 9 and all later ones have it.",
		}
	}
	return Finding{Level: OK, Title: "kernel", Detail: "Linux " + f.System.Kernel}
}

// version reads the first two numbers of a release: 6.1.0-13-amd64.
func version(release string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(release, ".")
	second := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		second = rest[:i]
	}
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	return major, minor, err1 == nil && err2 == nil
}

// privileges is about the one tier that this version has.
func (f Facts) privileges() Finding {
	if f.Tier() == TierRoot {
		return Finding{Level: OK, Title: "privileges", Detail: "root"}
	}
	p := Finding{Level: Fail, Title: "privileges"}
	instead := "user namespaces work here, but the rootless tier is not supported yet by this version"
	if f.Tier() == TierConfined {
		instead = "user namespaces do not work here either, and the confined tier is not supported yet by this version"
	}
	if f.System.EUID != 0 {
		p.Detail = fmt.Sprintf("user %d is not root; %s", f.System.EUID, instead)
		p.Fix = "Run blast with sudo."
		return p
	}
	p.Detail = fmt.Sprintf("root lacks %s, as in a container; %s", strings.Join(f.missingCaps(), " and "), instead)
	p.Fix = "Run Blast on the host, or in a privileged container (docker run --privileged)."
	return p
}

// namespaces explains why a user can't have them, by the switches that are set.
func (f Facts) namespaces() Finding {
	n := Finding{Level: OK, Title: "user namespaces", Detail: "work"}
	if f.Namespaces.State == Works {
		if f.SubIDs.Count < 1<<16 || !f.SubIDs.Helpers {
			n.Detail = "work, with one user id only (no range in /etc/subuid, or no newuidmap)"
		}
		return n
	}
	n.Level, n.Detail = Warn, f.Namespaces.Why
	s := f.System.Sysctls
	switch {
	case f.Namespaces.State == Untried:
		n.Detail = "not tried"
	case s["user.max_user_namespaces"] == "0":
		n.Detail += ": user.max_user_namespaces is 0"
		n.Fix = "sysctl -w user.max_user_namespaces=15000"
	case s["kernel.unprivileged_userns_clone"] == "0" && f.System.EUID != 0:
		n.Detail += ": kernel.unprivileged_userns_clone is 0"
		n.Fix = "sysctl -w kernel.unprivileged_userns_clone=1"
	case s["kernel.apparmor_restrict_unprivileged_userns"] == "1" && f.System.EUID != 0:
		n.Detail += ": AppArmor allows them to programs with a profile only (kernel.apparmor_restrict_unprivileged_userns)"
		n.Fix = "Run as root, or give the program an AppArmor profile with the rule userns."
	case f.System.Seccomp != 0:
		n.Detail += ": a seccomp filter is in force, as in a container"
		n.Fix = "Start the container with a seccomp profile that allows them."
	}
	return n
}

// needed judges something that no sandbox can do without.
func needed(title string, o Outcome, fix string) Finding {
	switch o.State {
	case Works:
		return Finding{Level: OK, Title: title, Detail: o.Why}
	case Fails:
		return Finding{Level: Fail, Title: title, Detail: o.Why, Fix: fix}
	}
	return Finding{Level: Warn, Title: title, Detail: "not tried"}
}

// wanted judges something that only some blocks need.
func wanted(title string, o Outcome, without, fix string) Finding {
	n := needed(title, o, fix)
	if n.Level == Fail {
		n.Level = Warn
		n.Detail += "; " + without
	}
	return n
}

func (f Facts) mounts() []Finding {
	m := f.Mounts
	return []Finding{
		needed("mounts", first(m.Tmpfs, m.Clone), "Use a kernel with the mount API of 5.12, outside of a container that forbids mounts."),
		wanted("overlay", m.Overlay, "a workspace can't have access = \"overlay\"",
			"Load the overlay module, and keep the project on a disk of the host's: ext4, xfs or btrfs, not a network file system."),
		wanted("idmapped mounts", m.IDMapped, "files written into the workspace would not belong to you",
			"Keep the project on ext4, xfs, btrfs or tmpfs."),
	}
}

// first returns the first outcome that is not a success, or success.
func first(all ...Outcome) Outcome {
	for _, o := range all {
		if o.State != Works {
			return o
		}
	}
	return Outcome{State: Works}
}

func (f Facts) firewall() Finding {
	w := f.Firewall
	features := []struct {
		name string
		o    Outcome
	}{
		{"table", w.Table}, {"redirect", w.Redirect}, {"set with timeouts", w.Set},
		{"log", w.Log}, {"reject", w.Reject}, {"limit", w.Limit},
	}
	for _, x := range features {
		if x.o.State == Fails {
			x.o.Why = x.name + ": " + x.o.Why
		}
		if x.o.State != Works {
			return needed("firewall", x.o, "Use a kernel with nf_tables, nft_redir, nft_log, nft_reject and nft_limit, or load those modules (modprobe nf_tables).")
		}
	}
	return Finding{Level: OK, Title: "firewall", Detail: "nftables in a network namespace"}
}

func (f Facts) cgroups() Finding {
	c := f.Cgroups
	n := needed("cgroups", c.Limits, "Mount cgroups writable (mount -t cgroup2 none /sys/fs/cgroup), or give the container a delegated tree.")
	if n.Level != OK {
		return n
	}
	n.Detail = c.Mode
	if len(c.Lacking) == 0 {
		return n
	}
	n.Level = Warn
	var reasons []string
	for _, item := range slices.Sorted(maps.Keys(c.Lacking)) {
		reasons = append(reasons, item+" ("+c.Lacking[item]+")")
	}
	n.Detail += "; can't be enforced: " + strings.Join(reasons, ", ")
	n.Fix = "Leave those out of blast.hcl."
	if c.Mode != "v2" {
		n.Fix += " cgroup v2 has most of them: boot with systemd.unified_cgroup_hierarchy=1."
	}
	return n
}

func (f Facts) loop() Finding {
	n := wanted("writable layer", f.Loop, "so it is in memory (tmpfs), counts as memory of the sandbox, and is gone after a restart", "Install e2fsprogs (mkfs.ext4), and load the module: modprobe loop.")
	if n.Level != OK {
		return n
	}
	n.Detail = "an ext4 image of bounded size, in bytes and inodes"
	if f.Disk.Quotas {
		n.Detail += "; the project quotas of this disk are not used, as what is copied or moved here would not be bounded by them"
	}
	return n
}

func (f Facts) fanotify() Finding {
	return wanted("fanotify", f.Fanotify, "refused file accesses can't be told", "Use a kernel with FANOTIFY_ACCESS_PERMISSIONS.")
}

func (f Facts) seccomp() Finding {
	return needed("seccomp", f.Seccomp, "Use a kernel with SECCOMP_FILTER.")
}

func (f Facts) landlock() Finding {
	if f.Landlock == 0 {
		return Finding{Level: OK, Title: "landlock", Detail: "none; this version does not need it"}
	}
	return Finding{Level: OK, Title: "landlock", Detail: fmt.Sprintf("ABI %d", f.Landlock)}
}

func (f Facts) python() Finding {
	if len(f.Python) == 0 {
		return Finding{
			Level: Warn, Title: "python", Detail: "none in /usr/bin that runs; package blocks need one",
			Fix: "Install it: apt install python3, or your distribution's way.",
		}
	}
	var names []string
	for _, p := range f.Python {
		names = append(names, p.Version+" ("+p.Path+")")
	}
	return Finding{Level: OK, Title: "python", Detail: strings.Join(names, ", ")}
}

// minFree is what stays free of a large disk, if no line says otherwise: below it commands
// stand still. layerSize is what a writable layer may take, likewise.
const (
	minFree   = 1 << 30
	layerSize = 5 << 30
)

func (f Facts) disk() Finding {
	switch {
	case f.Disk.Err != "":
		return Finding{Level: Fail, Title: "disk", Detail: f.Disk.Err, Fix: "Run it in a folder that can be read."}
	case f.Disk.Type == "":
		return Finding{Level: Warn, Title: "disk", Detail: "not tried"}
	case f.Disk.Free < minFree:
		return Finding{
			Level: Warn, Title: "disk", Detail: fmt.Sprintf("%d MiB free on %s", f.Disk.Free>>20, f.Disk.Type),
			Fix: "Free some space: packages and layers need room, and below the reserve commands stand still.",
		}
	case f.Disk.Free < layerSize:
		return Finding{OK, "disk", fmt.Sprintf("%d GiB free on %s, less than the 5 GiB that a writable layer may take as a rule", f.Disk.Free>>30, f.Disk.Type), ""}
	}
	return Finding{Level: OK, Title: "disk", Detail: fmt.Sprintf("%d GiB free on %s", f.Disk.Free>>30, f.Disk.Type)}
}
