// Package process is the process and secret blocks and the env attribute: as whom,
// with which rights and which environment variables commands run.
package process

import "blast.example/blast/runtime/process/secret"

// Addresses of the objects of this kind.
const (
	SandboxAddr     = "process.sandbox"
	EnvironmentAddr = "process.environment"
)

// Sandbox is the attributes of process.sandbox: one container with Blast's init
// as PID 1. Another set of attributes is another container, made beside the old.
type Sandbox struct {
	Base         string   `json:"base"` // "host": the host's system folders, read-only
	User         string   `json:"user"`
	UID          uint32   `json:"uid"` // inside
	GID          uint32   `json:"gid"`
	OwnerUID     uint32   `json:"owner_uid"` // the person: owner of what is written into the workspace
	OwnerGID     uint32   `json:"owner_gid"`
	Capabilities []string `json:"capabilities,omitempty"` // CAP_NET_BIND_SERVICE; sorted
	Seccomp      string   `json:"seccomp"`                // "default"
	Hostname     string   `json:"hostname"`
	Incarnation  int      `json:"incarnation,omitempty"` // how often it was asked to be made anew
}

// Environment is the attributes of process.environment: what each command
// starts with.
type Environment struct {
	Vars map[string]string `json:"vars,omitempty"`
	Dir  string            `json:"dir"` // working folder when the caller's own is not in the workspace

	// Secrets are variables, too, over Vars. Their values are looked for when a
	// command starts, by its caller. Sorted by name.
	Secrets []secret.Reference `json:"secrets,omitempty"`
}
