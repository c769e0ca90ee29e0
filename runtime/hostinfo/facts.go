package hostinfo

// Facts are what the probes found. They travel from the daemon to the command
// line as JSON; the zero value means that nothing was tried.
type Facts struct {
	System     System   `json:"system"`
	Namespaces Outcome  `json:"namespaces"` // user, pid, mount and net at once, as this user
	SubIDs     SubIDs   `json:"sub_ids"`
	Mounts     Mounts   `json:"mounts"`
	Firewall   Firewall `json:"firewall"`
	Cgroups    Cgroups  `json:"cgroups"`
	Fanotify   Outcome  `json:"fanotify"` // permission events on a mount
	Landlock   int      `json:"landlock"` // ABI version; 0 is none
	Seccomp    Outcome  `json:"seccomp"`  // filters can be installed
	Loop       Outcome  `json:"loop"`     // an ext4 image on a loop device
	Python     []Python `json:"python"`   // found in /usr/bin
	Disk       Disk     `json:"disk"`

	// Unfinished names the probes that did not answer in time.
	Unfinished []string `json:"unfinished,omitempty"`
}

// An Outcome is what came of trying something. The zero value: it was not tried.
type Outcome struct {
	State State  `json:"state,omitempty"`
	Why   string `json:"why,omitempty"` // the error, or what else there is to say
}

// State says how a try ended.
type State string

// The states of an Outcome.
const (
	Untried State = ""
	Works   State = "works"
	Fails   State = "fails"
)

// Try makes an Outcome from an error.
func Try(err error) Outcome {
	if err != nil {
		return Outcome{Fails, err.Error()}
	}
	return Outcome{State: Works}
}

// System is the kernel and what this process is to it.
type System struct {
	Kernel     string `json:"kernel"` // uname -r
	EUID       int    `json:"euid"`
	Caps       uint64 `json:"caps"` // effective, a bit for each of capabilities(7)
	Seccomp    int    `json:"seccomp"`
	NoNewPrivs bool   `json:"no_new_privs"`

	// Switches that restrict user namespaces, by sysctl name, as far as this
	// kernel has them.
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// SubIDs is what a rootless sandbox has for ids of its own, subuid(5).
type SubIDs struct {
	Count   int  `json:"count"`   // in /etc/subuid for this user
	Helpers bool `json:"helpers"` // newuidmap and newgidmap are there
}

// Mounts are the ways of mounting that a sandbox is built of.
type Mounts struct {
	Tmpfs    Outcome `json:"tmpfs"`
	Clone    Outcome `json:"clone"`    // open_tree, mount_setattr and move_mount
	Overlay  Outcome `json:"overlay"`  // with its upper layer in the state folder
	IDMapped Outcome `json:"idmapped"` // of the project folder, mount_setattr(2)
}

// Firewall is nftables in a network namespace of its own, feature by feature.
type Firewall struct {
	Table    Outcome `json:"table"`
	Redirect Outcome `json:"redirect"`
	Set      Outcome `json:"set"` // concatenated, with timeouts
	Log      Outcome `json:"log"`
	Reject   Outcome `json:"reject"`
	Limit    Outcome `json:"limit"`
}

// Cgroups is which limits can be enforced.
type Cgroups struct {
	Mode    string            `json:"mode"`              // v1 | hybrid | v2 | none
	Limits  Outcome           `json:"limits"`            // a group was made, limited and read back
	Lacking map[string]string `json:"lacking,omitempty"` // "memory.high" → why not
}

// Python is an interpreter that the host base has.
type Python struct {
	Path    string `json:"path"`
	Version string `json:"version"` // 3.11.2
}

// Disk is where the state folder lies.
type Disk struct {
	Type string `json:"type"` // ext4
	Size uint64 `json:"size"` // bytes
	Free uint64 `json:"free"` // likewise, for this user
	// Quotas is that the file system is mounted with project quotas, quotactl(2).
	Quotas bool   `json:"project_quotas,omitempty"`
	Err    string `json:"err,omitempty"`
}

// Capability numbers of capabilities(7) that Blast needs as root.
const (
	capNetAdmin = 12
	capSysAdmin = 21
)

// can reports whether a capability is in effect.
func (s System) can(capability int) bool { return s.Caps>>capability&1 == 1 }
