//go:build linux

package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Sizes of what a sandbox can write without anybody mounting anything, in bytes.
const (
	tmpSize = 64 << 20
	shmSize = 64 << 20
	devSize = 64 << 10
)

// config is the sandbox in libcontainer's words, by way of the OCI runtime spec.
func (s Spec) config(sk skeleton) (*configs.Config, error) {
	c, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: s.ID, Spec: s.oci(sk)})
	if err != nil {
		return nil, fmt.Errorf("configure container: %w", err)
	}
	return c, nil
}

// oci is the runtime-spec document of the sandbox.
func (s Spec) oci(sk skeleton) *specs.Spec {
	adj := oomScoreAdj()
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: s.IDs.Base, Size: s.IDs.Size}}
	caps := s.Capabilities
	return &specs.Spec{
		Version:  specs.Version,
		Hostname: s.Hostname,
		Root:     &specs.Root{Path: SkeletonDir(s.Env, s.ID), Readonly: true},
		Mounts:   append(systemMounts(), bindMounts(sk.binds)...),
		Process: &specs.Process{
			User:            specs.User{UID: s.UID, GID: s.GID},
			Cwd:             "/",
			NoNewPrivileges: true,
			OOMScoreAdj:     &adj,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Inheritable: caps, Permitted: caps, Ambient: caps},
		},
		Linux: &specs.Linux{
			CgroupsPath: leaf(s.Env, s.ID),
			UIDMappings: mapping,
			GIDMappings: mapping,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.UserNamespace}, {Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.CgroupNamespace}, {Type: specs.NetworkNamespace, Path: s.NetNS},
			},
			// What the host mounts or unmounts later is not seen inside.
			RootfsPropagation: "rprivate",
			// The devices of every container (null, zero, …) are allowed by
			// libcontainer itself.
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Sysctl:        shares(),
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: readonlyPaths,
		},
	}
}

// Parts of /proc that speak of the machine or change it. Most belong to the
// host's root anyway; this holds for those that forgot to.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/config.gz", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore", "/proc/key-users",
		"/proc/keys", "/proc/kpagecount", "/proc/kpageflags", "/proc/latency_stats", "/proc/modules", "/proc/sched_debug",
		"/proc/scsi", "/proc/slabinfo", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
	}
	// What is written to pressure has the kernel watch the whole machine.
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys"}
)

// systemMounts are the file systems that are not the host's.
func systemMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "strictatime", "mode=755", size(devSize), "nr_inodes=128", "ro"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=1024"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "nodev", "noexec", "mode=1777", size(shmSize), "nr_inodes=4096"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777", size(tmpSize), "nr_inodes=65536"}},
		// sysfs shows the network namespace, so only its owner may mount it, and
		// that is the host. Programs that look for it find it empty.
		{Destination: "/sys", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=555", "size=4096", "nr_inodes=2", "ro"}},
	}
}

// bindMounts shows parts of the host, with all that is mounted below them,
// read-only to the last of it.
func bindMounts(binds []bind) []specs.Mount {
	var ms []specs.Mount
	for _, b := range binds {
		ms = append(ms, specs.Mount{
			Destination: b.target, Source: b.source, Type: "bind",
			Options: []string{"rbind", "rprivate", "rro", "rnosuid", "rnodev"},
		})
	}
	return ms
}

func size(bytes int) string { return "size=" + strconv.Itoa(bytes) }

func readNumber(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// oomScoreAdj is what a sandbox's processes get (proc_pid_oom_score_adj(5)): no
// protection that the daemon may have, but not below it either, as lowering takes
// CAP_SYS_RESOURCE.
func oomScoreAdj() int {
	n, err := readNumber("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	return max(n, 0)
}
