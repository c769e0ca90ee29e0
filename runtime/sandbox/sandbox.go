//go:build linux

// Package sandbox makes and ends containers: processes in namespaces of their
// own, without rights, that see what the skeleton shows and nothing else.
//
// It is the only importer of runc's libcontainer, whose interface is not stable
// and whose start-up takes over the process that calls Init: no type of it
// crosses this package's border.
//
// What is around a sandbox, and who made it:
//
//	<run>/root-<id>/        skeleton: root of the sandbox, read-only inside   here
//	<run>/init-<id>.sock    where its PID 1 takes commands, not seen inside   here
//	<run>/sandbox/<id>/     libcontainer's state                              here
//	<run>/userns.json       the host ids that the environment may use         here
//	<run>/net               network namespace, joined by path                 network kind
//	<cgroup>/<id>           leaf cgroup without limits                        here
//	<cgroup>                the limits                                        resource kind
//
// Nothing is kept in memory: a daemon that was restarted finds all of it again,
// and Destroy removes any part of it that is there.
package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // what Init goes on from, in C

	"blast.example/blast/runtime/packages"
	"blast.example/blast/state"
)

// libcontainer leaves threads behind in namespaces of containers, for the Go
// runtime to end. It can end any but the program's first one; that would stay
// there, and with it all that the program looks up below /proc/self. So the
// first thread is kept for the main goroutine.
func init() { runtime.LockOSThread() }

// Init must be the first thing that main does in every program that calls
// Create. libcontainer starts the calling program once more to become PID 1 of
// the container; there, Init does not return.
func Init() {
	if len(os.Args) > 1 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != "" {
		libcontainer.Init()
	}
	keepShares()
	keepNoCore()
}

// A Spec is everything about one sandbox.
type Spec struct {
	Env   state.Env // its Run and Cgroup are used
	ID    string    // 12 hex digits: the digest of the attributes it is made of
	NetNS string    // file of a network namespace

	Base     string // "host": the host's system folders
	Packages string // folder shown at PackagesDir; "" is none
	Inside   string // folder shown at inside.Dir; "" is none
	Hostname string

	IDs  IDs    // host ids that the sandbox's are mapped to
	User string // name of UID inside
	UID  uint32 // inside, of init and every command
	GID  uint32

	Capabilities []string // see Grantable
	Seccomp      string   // "default"

	Init string // program that becomes PID 1: blast-init
}

// PackagesDir is where a sandbox sees Spec.Packages.
const PackagesDir = packages.VenvDir

// Home is the home folder of the sandbox's user. It can be written only if the
// filesystem kind mounts something there.
const Home = "/home/sandbox"

// SkeletonDir is the folder on the host that is the root of the sandbox: a plain
// folder, bound read-only. A mount point that is made in it appears inside at
// once.
func SkeletonDir(env state.Env, id string) string {
	return filepath.Join(env.Run, skeletonPrefix+id)
}

// SocketPath is where the sandbox's init takes commands.
func SocketPath(env state.Env, id string) string {
	return filepath.Join(env.Run, socketPrefix+id+socketSuffix)
}

const (
	skeletonPrefix = "root-"
	socketPrefix   = "init-"
	socketSuffix   = ".sock"
	stateFolder    = "sandbox"
)

func stateRoot(env state.Env) string { return filepath.Join(env.Run, stateFolder) }

// IDOfSocket is the id of the sandbox whose init listens on path, or "".
func IDOfSocket(path string) string {
	id, ok := strings.CutPrefix(filepath.Base(path), socketPrefix)
	id, ok2 := strings.CutSuffix(id, socketSuffix)
	if !ok || !ok2 || !IsID(id) {
		return ""
	}
	return id
}

var idPattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// IsID reports whether s can be the id of a sandbox.
func IsID(s string) bool { return idPattern.MatchString(s) }

// check refuses a Spec that could not be made safely.
func (s Spec) check() error {
	switch {
	case !IsID(s.ID):
		return fmt.Errorf("id %q is not 12 hex digits", s.ID)
	case !filepath.IsAbs(s.Env.Run) || !filepath.IsAbs(s.Env.Cgroup) || !filepath.IsAbs(s.Init) || !filepath.IsAbs(s.NetNS):
		return fmt.Errorf("run folder %q, cgroup %q, init %q and network namespace %q must be absolute", s.Env.Run, s.Env.Cgroup, s.Init, s.NetNS)
	case filepath.Clean(s.Env.Cgroup) == "/":
		return fmt.Errorf("the root cgroup has no limits")
	case s.Base != BaseHost:
		return fmt.Errorf("base %q is unknown", s.Base)
	case s.Seccomp != SeccompDefault:
		return fmt.Errorf("seccomp profile %q is unknown", s.Seccomp)
	case s.UID >= s.IDs.Size || s.GID >= s.IDs.Size:
		return fmt.Errorf("uid %d or gid %d is outside of the %d ids of a sandbox", s.UID, s.GID, s.IDs.Size)
	case s.IDs.Base == 0:
		return fmt.Errorf("a sandbox must not be given the host's own ids")
	case !hostnamePattern.MatchString(s.Hostname):
		return fmt.Errorf("%q is no hostname (RFC 1123)", s.Hostname)
	case !userPattern.MatchString(s.User):
		return fmt.Errorf("%q is no user name", s.User)
	}
	for _, c := range s.Capabilities {
		if !Grantable(c) {
			return fmt.Errorf("capability %s would let a command undo its sandbox", c)
		}
	}
	return nil
}

// Both become lines of files in /etc.
var (
	hostnamePattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
	userPattern     = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
)

// Words of Spec.
const (
	BaseHost       = "host"
	SeccompDefault = "default"
)
