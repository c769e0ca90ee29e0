package filesystem

import (
	"os"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
)

// servants are places of the host where programs listen, or keep what they run, that start
// programs outside of a sandbox, hand out keys, or act as the person, for whoever asks. A
// mount that can't be written doesn't keep anybody from connecting to a socket in it.
var servants = []string{
	"/run/docker", "/run/docker.sock", "/run/podman", "/run/containerd", "/run/crio", "/run/lxd.socket", "/run/incus", "/run/libvirt",
	"/run/systemd", "/run/dbus", "/run/user", "/run/snapd.socket", "/run/snapd-snap.socket", "/run/udev", "/run/sshd",
	"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/lxd", "/var/lib/incus", "/var/lib/libvirt",
	"/var/lib/systemd", "/var/snap/lxd", "/tmp/.X11-unix", "/tmp/.ICE-unix",
}

// asking are variables of the environment that say where such a program of the person's
// listens, by a path or by unix:path.
var asking = []string{"SSH_AUTH_SOCK", "DOCKER_HOST", "CONTAINER_HOST", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "GPG_AGENT_INFO"}

// Servants lists the places, without those that only the person's environment names.
func Servants() []string { return servants }

// listening are the places that the environment of this process names.
func listening() []string {
	var out []string
	for _, name := range asking {
		v := os.Getenv(name)
		for _, prefix := range []string{"unix:path=", "unix://", "unix:"} {
			v = strings.TrimPrefix(v, prefix)
		}
		v, _, _ = strings.Cut(v, ",")
		if path.IsAbs(v) && path.Clean(v) != "/" {
			out = append(out, path.Clean(v))
		}
	}
	return out
}

// serves refuses a source that is such a place, lies in one or holds one.
func serves(abs string, at hcl.Range) *hcl.Diagnostic {
	for _, place := range append(listening(), servants...) {
		if within(abs, place) || within(place, abs) {
			return block.Errorf(at, "Folder can't be mounted", "source is %s, and at %s programs of the host take orders or keep what they run: through them a command gets out of the sandbox, also where it can't write. Write the folder that is needed.", abs, place)
		}
	}
	return nil
}
