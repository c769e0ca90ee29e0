package hostinfo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
)

// Identity is what a plan depends on of the machine that it is made on, by name:
// which machine it is, its kernel, its processor, its cgroups. It costs microseconds,
// and what is not to be found out is left out.
func Identity() map[string]string {
	facts := map[string]string{"arch": runtime.GOARCH, "cgroups": cgroupMode()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		facts["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	if id := machine(); id != "" {
		facts[plan.Machine] = id
	}
	return facts
}

// machine names this machine by a digest of its machine id, as machine-id(5) wants:
// the id itself is not to be shown. A machine without one is known until it boots.
func machine() string {
	for _, path := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		b, err := os.ReadFile(path)
		id := strings.TrimSpace(string(b))
		if err != nil || id == "" || id == "uninitialized" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(id))
		mac.Write([]byte("blast plan"))
		return hex.EncodeToString(mac.Sum(nil)[:6])
	}
	return ""
}

// cgroupMode says how the hierarchies are mounted, as systemd tells them apart.
func cgroupMode() string {
	const root = "/sys/fs/cgroup"
	is := func(path string) bool {
		var st unix.Statfs_t
		return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
	}
	switch {
	case is(root):
		return "v2"
	case is(root + "/unified"):
		return "hybrid"
	}
	if _, err := os.Stat(root); err != nil {
		return "none"
	}
	return "v1"
}
