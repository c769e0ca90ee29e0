// Package filesystem is the filesystem block: what a sandbox can see of the
// host's files, and what it may write.
package filesystem

// TreeAddr is the address of the object that all mounts are.
const TreeAddr = "filesystem.tree"

// Tree is the attributes of filesystem.tree: everything mounted in a sandbox on
// top of its read-only base, in the order in which it is mounted (a parent
// before what lies below it).
type Tree struct {
	// Sandbox is the digest of the process.sandbox that the tree is mounted in.
	Sandbox string  `json:"sandbox,omitempty"`
	Mounts  []Mount `json:"mounts"`
	// Patterns protect what they match in the workspace, whenever that appears. What
	// they match is looked for on the host, and is part of no plan.
	Patterns []Pattern `json:"patterns,omitempty"`
	// LayerSize bounds all that may be written outside of mounts, in bytes.
	LayerSize int64 `json:"layer_size"`
	// LayerInodes bounds how many files and folders that may be; 0 is the default: see Inodes.
	LayerInodes int64 `json:"layer_inodes,omitempty"`
	// Layer says which writable layer it is. The zero value is one that was made empty.
	Layer LayerID `json:"layer,omitzero"`
	// MaxFileSize is RLIMIT_FSIZE of each command, in bytes; 0 is no limit.
	MaxFileSize int64 `json:"max_file_size,omitempty"`
	// Reserve is what stays free of each disk of the host that commands can fill, in
	// bytes; 0 is the default, and NoReserve nothing. See Tree.Free.
	Reserve int64 `json:"reserve,omitempty"`
	// Project is the folder of blast.hcl, absolute on the host. Sources that lie in it
	// go along when it is moved: see In.
	Project string `json:"project,omitempty"`

	// Opened are paths of the project that are protected by default, and were not. It is
	// set in snapshots only, which leave the protections themselves out.
	Opened []string `json:"opened,omitempty"`

	// Drift says how the mounts differ from what was applied; it is never set
	// in what is wanted.
	Drift []string `json:"drift,omitempty"`
}

// A LayerID names one writable layer among those that an environment may have: an
// apply keeps the one that is there, and blast load makes another.
type LayerID struct {
	ID       string `json:"id,omitempty"`       // 16 hex digits: the label of its file system
	Content  string `json:"content,omitempty"`  // digest of the blob that it was made from; "" if it began empty
	Snapshot string `json:"snapshot,omitempty"` // what that was called when it was loaded
}

// Mount types.
const (
	Bind     = "bind"      // Source on the host, mapped so that the person owns what is written
	Tmpfs    = "tmpfs"     // empty, in memory, Size bytes
	Layer    = "layer"     // a folder of the writable layer
	Hide     = "hide"      // nothing to see: opening fails with EACCES
	ReadOnly = "read-only" // what lies there already, but not to be written, renamed or removed
)

// Overlay is the access of a bind whose source is only read: what commands write there lies in the layer.
const Overlay = "overlay"

// Mount is one place in the sandbox.
type Mount struct {
	Name   string `json:"name"`             // key into Src: "workspace", "workspace.hide", "mount./models"
	Target string `json:"target"`           // absolute, in the sandbox, clean
	Type   string `json:"type"`             //
	Source string `json:"source,omitempty"` // absolute on the host, clean
	Access string `json:"access,omitempty"` // bind: ro | rw | overlay
	Size   int64  `json:"size,omitempty"`   // tmpfs, in bytes
	Inodes int64  `json:"inodes,omitempty"` // tmpfs, files and folders; 0 is one for each page of Size
	Exec   bool   `json:"exec,omitempty"`   // files may be executed
	// Dir says what to make of an absent path below a bind mount that is to be
	// hidden or read-only: a folder (true) or a file.
	Dir bool `json:"dir,omitempty"`
	// Content is what such a file is made with, where an empty one would not do.
	// One that is there is never written.
	Content string `json:"content,omitempty"`
}
