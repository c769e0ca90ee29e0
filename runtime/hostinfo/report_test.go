package hostinfo

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	works = Outcome{State: Works}
	eperm = Outcome{Fails, "operation not permitted"}
)

const allCaps = 1<<41 - 1

// dockerCaps are the default capabilities of a container.
const dockerCaps = 0xa80425fb

// good are the facts of a Debian 12 server, asked as root.
func good() Facts {
	return Facts{
		System:     System{Kernel: "6.1.0-18-amd64", Caps: allCaps, Sysctls: map[string]string{"kernel.unprivileged_userns_clone": "1", "user.max_user_namespaces": "63000"}},
		Namespaces: works, SubIDs: SubIDs{65536, true},
		Mounts:   Mounts{works, works, works, works},
		Firewall: Firewall{works, works, works, works, works, works},
		Cgroups:  Cgroups{Mode: "v2", Limits: works, Lacking: map[string]string{"io.weight": "the scheduler of sda is mq-deadline"}},
		Fanotify: works, Landlock: 2, Seccomp: works, Loop: works,
		Python: []Python{{"/usr/bin/python3.11", "3.11.2"}},
		Disk:   Disk{Type: "ext4", Free: 80 << 30},
	}
}

// asUser turns the facts into what a person without root finds.
func asUser(f *Facts) {
	f.System.EUID, f.System.Caps = 1000, 0
	f.Mounts, f.Firewall, f.Cgroups, f.Fanotify, f.Loop = Mounts{}, Firewall{}, Cgroups{}, Outcome{}, Outcome{}
}

func TestHosts(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Facts)
		tier   Tier
		bad    map[string]string // title → level and a part of detail or fix
	}{
		"Debian 12, root": {func(*Facts) {}, TierRoot, map[string]string{"cgroups": "warn io.weight (the scheduler"}},
		"Debian 12, user": {asUser, TierRootless, map[string]string{
			"privileges": "fail rootless tier is not supported yet", "not probed": "warn sudo blast doctor",
		}},
		"Debian 10, root": {func(f *Facts) {
			f.System.Kernel = "4.19.0-26-amd64"
			f.Mounts.Clone = Outcome{Fails, "open_tree: function not implemented"}
			f.Mounts.Tmpfs = Outcome{Fails, "fsopen tmpfs: function not implemented"}
			f.Mounts.IDMapped = f.Mounts.Clone
			f.Cgroups = Cgroups{Mode: "hybrid", Limits: works, Lacking: map[string]string{"memory.high": "cgroup v1 has no memory.high"}}
			f.Landlock = 0
		}, TierRoot, map[string]string{
			"kernel": "fail older than 5.12", "mounts": "fail fsopen", "idmapped mounts": "warn belong to you",
			"cgroups": "warn hybrid; can't be enforced: memory.high (cgroup v1 has no memory.high)",
		}},
		"Debian 10 with its switch off, user": {func(f *Facts) {
			asUser(f)
			f.System.Kernel, f.System.Sysctls["kernel.unprivileged_userns_clone"], f.Namespaces = "4.19.0-26-amd64", "0", eperm
			f.Landlock = 0
		}, TierConfined, map[string]string{
			"kernel": "fail older", "privileges": "fail confined tier is not supported yet",
			"user namespaces": "warn sysctl -w kernel.unprivileged_userns_clone=1", "not probed": "warn",
		}},
		"Ubuntu 24.04, user": {func(f *Facts) {
			asUser(f)
			f.System.Kernel = "6.8.0-31-generic"
			f.System.Sysctls["kernel.apparmor_restrict_unprivileged_userns"], f.Namespaces = "1", eperm
		}, TierConfined, map[string]string{
			"privileges": "fail confined tier", "user namespaces": "warn AppArmor", "not probed": "warn",
		}},
		"Ubuntu 24.04, root": {func(f *Facts) {
			f.System.Sysctls["kernel.apparmor_restrict_unprivileged_userns"] = "1"
			f.Cgroups.Lacking = nil
		}, TierRoot, nil},
		"RHEL 9 with user namespaces off, user": {func(f *Facts) {
			asUser(f)
			f.System.Kernel, f.System.Sysctls["user.max_user_namespaces"] = "5.14.0-427.13.1.el9_4.x86_64", "0"
			f.Namespaces = Outcome{Fails, "no space left on device"}
		}, TierConfined, map[string]string{
			"privileges": "fail", "user namespaces": "warn max_user_namespaces is 0", "not probed": "warn",
		}},
		"RHEL 8, root": {func(f *Facts) { f.System.Kernel = "4.18.0-553.el8_10.x86_64" }, TierRoot, map[string]string{
			"kernel": "fail RHEL 9", "cgroups": "warn",
		}},
		"Docker's defaults, root inside": {func(f *Facts) {
			asUser(f)
			f.System.EUID, f.System.Caps, f.System.Seccomp, f.Namespaces = 0, dockerCaps, 2, eperm
			f.Disk.Type = "overlay"
		}, TierConfined, map[string]string{
			"privileges":      "fail root lacks CAP_SYS_ADMIN and CAP_NET_ADMIN, as in a container",
			"user namespaces": "warn a seccomp filter is in force", "not probed": "warn",
		}},
		"Kubernetes, no seccomp, root inside": {func(f *Facts) {
			asUser(f)
			f.System.EUID, f.System.Caps = 0, dockerCaps
		}, TierRootless, map[string]string{"privileges": "fail rootless tier", "not probed": "warn"}},
		"docker run --privileged": {func(f *Facts) {
			f.Disk.Type, f.Mounts.Overlay = "overlay", Outcome{Fails, "make overlay: invalid argument"}
			f.Mounts.IDMapped = Outcome{Fails, "map ids: invalid argument"}
			f.Cgroups.Limits = Outcome{Fails, "hand the memory controller down from /sys/fs/cgroup, which has processes of its own"}
		}, TierRoot, map[string]string{
			"overlay": "warn on a disk of the host's", "idmapped mounts": "warn", "cgroups": "fail processes of its own",
		}},
		"Alpine, minimal": {func(f *Facts) {
			f.System.Kernel, f.Python = "6.6.14-0-virt", nil
			f.Loop = Outcome{Fails, `exec: "mkfs.ext4": executable file not found in $PATH`}
			f.Firewall.Redirect = Outcome{Fails, "no such file or directory"}
			f.Cgroups.Lacking = nil
		}, TierRoot, map[string]string{
			"python": "warn apt install python3", "writable layer": "warn e2fsprogs", "firewall": "fail redirect: no such file",
		}},
		"WSL 2": {func(f *Facts) {
			f.System.Kernel, f.Disk.Type = "5.15.146.1-microsoft-standard-WSL2", "9p"
			f.Mounts.Overlay, f.Mounts.IDMapped = Outcome{Fails, "invalid argument"}, Outcome{Fails, "map ids: invalid argument"}
			f.Fanotify = Outcome{Fails, "fanotify_init: function not implemented"}
			f.Cgroups = Cgroups{Mode: "v2", Limits: works, Lacking: map[string]string{"io.read_bps": "is on 9p: no block device to limit"}}
		}, TierRoot, map[string]string{
			"overlay": "warn", "idmapped mounts": "warn", "fanotify": "warn refused file accesses", "cgroups": "warn 9p",
		}},
		"a full disk and no seccomp": {func(f *Facts) {
			f.Disk.Free, f.Seccomp, f.Cgroups.Lacking = 5<<20, Outcome{Fails, "install filter: invalid argument"}, nil
		}, TierRoot, map[string]string{"disk": "warn 5 MiB free", "seccomp": "fail install filter"}},
		"nothing known": {func(f *Facts) { *f = Facts{System: System{EUID: 5}} }, TierConfined, map[string]string{
			"kernel": "warn", "privileges": "fail", "user namespaces": "warn not tried", "not probed": "warn",
			"seccomp": "warn not tried", "python": "warn", "disk": "warn not tried",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			tt.change(&f)
			if f.Tier() != tt.tier {
				t.Errorf("tier %s, want %s", f.Tier(), tt.tier)
			}
			bad := map[string]string{}
			for _, r := range f.Report() {
				if r.Title == "" || r.Detail == "" && r.Level != OK {
					t.Errorf("says too little: %+v", r)
				}
				if r.Level == Fail && r.Fix == "" {
					t.Errorf("no way out: %+v", r)
				}
				if r.Level != OK {
					bad[r.Title] = string(r.Level) + " " + r.Detail + " " + r.Fix
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(tt.bad)), slices.Sorted(maps.Keys(bad))); diff != "" {
				t.Errorf("findings: %s", diff)
			}
			for title, want := range tt.bad {
				level, part, _ := strings.Cut(want, " ")
				if got := bad[title]; !strings.HasPrefix(got, level+" ") || !strings.Contains(got, part) {
					t.Errorf("%s: %q, want %s with %q", title, got, level, part)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string][3]int{
		"6.1.0-13-amd64": {6, 1, 1}, "5.12": {5, 12, 1}, "6.18.44-fc-v769": {6, 18, 1}, "5.15+": {5, 15, 1}, "": {}, "x.1": {}, "6": {},
	} {
		major, minor, ok := version(release)
		if ok != (want[2] == 1) || ok && (major != want[0] || minor != want[1]) {
			t.Errorf("version(%q) = %d, %d, %v", release, major, minor, ok)
		}
	}
}
