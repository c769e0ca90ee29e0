// Package access is the record of what a sandbox did with files: which were read,
// written, created, deleted, renamed and executed, by whom, and what was too
// much of it. Package track writes it, the command line reads it.
//
// On disk a line is one JSON object, and its type says which. What a sandbox chose, such
// as a path, may hold any character but NUL, and bytes that are no UTF-8 are replaced by
// U+FFFD; who shows it to a terminal escapes it.
package access

import "time"

// Files of the record in the run folder of an environment. When File is full it takes the
// place of OldFile. AlertFile has the alerts only, for who wants to know them soon.
const (
	File      = "files.ndjson"
	OldFile   = "files.old.ndjson"
	AlertFile = "alerts.ndjson"
	// DeniedFile likewise has what was refused.
	DeniedFile = "refused.ndjson"
)

// Record is the name under which the daemon is asked for all of it; see kinds.Monitor.
const Record = "files"

// Types of lines.
const (
	TypeAccess = "access"
	TypeAlert  = "alert"
	TypeGap    = "gap"
	TypePath   = "path" // never in File
	TypeStop   = "stop" // only in File
	TypeTotals = "totals"
	TypeMissed = "missed" // never in File
)

// Gone is why a process is not known: it had ended when it was looked for.
const Gone = "gone"

// A Process is who it was. Command and Script the sandbox chose.
type Process struct {
	PID     int     `json:"pid,omitempty"`      // as the sandbox counts
	HostPID int     `json:"host_pid,omitempty"` // as the host counts
	UID     *uint32 `json:"uid,omitempty"`      // on the host
	Command string  `json:"command,omitempty"`  // comm, at most 15 bytes; or of one that had ended, the name of its program
	Script  string  `json:"script,omitempty"`   // the Python file that it runs
	Unknown string  `json:"unknown,omitempty"`  // why nothing is known: Gone
}

// An Access is what a process did to one file or folder. What the same process does to the
// same path within a second is one.
type Access struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"` // when the kernel's word of it was read
	Op   string    `json:"op"`   // filesystem.Read, Write, Create, Delete, Rename, Execute or Denied
	Path string    `json:"path"` // as the kernel resolved it, in the sandbox
	To   string    `json:"to,omitempty"`
	Size int64     `json:"size,omitempty"` // bytes, of a file that was read or written, when it was closed
	// Folder means that a folder was created, deleted or renamed.
	Folder bool `json:"folder,omitempty"`
	// Found means that it was there when its new folder was first looked at: somebody,
	// most likely this process, made it or moved it there just before.
	Found bool `json:"found,omitempty"`

	// Of one that was refused. Its Path is as it was asked for, made absolute.
	Tried string `json:"tried,omitempty"`  // Op if it had not been
	Error string `json:"error,omitempty"`  // the kernel's: "EACCES", "EPERM", "EROFS", "EBUSY" or "EOVERFLOW"
	Via   string `json:"via,omitempty"`    // where symbolic links in Path led to a moment later
	Rule  string `json:"rule,omitempty"`   // the item of the tree that decided; "" is none
	Why   string `json:"reason,omitempty"` //
	Fix   string `json:"fix,omitempty"`    // what to write into blast.hcl; "" if no line allows it
	Place string `json:"place,omitempty"`  // the rule's line, filled in by the reader

	Process

	Missed int `json:"missed,omitempty"` // accesses before this one that are not on record, as there were too many
}

// An Alert is one that fired.
type Alert struct {
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Name   string    `json:"name"`
	Event  string    `json:"event"`
	Count  int64     `json:"count"`           // accesses within the window
	Bytes  int64     `json:"bytes,omitempty"` // of them
	Window int64     `json:"window_ms"`
	Path   string    `json:"path,omitempty"` // of the last one
	Action string    `json:"action"`
	Place  string    `json:"place,omitempty"` // its line, filled in by the reader
	// Overflow means that accesses were lost, so that what was counted is the least.
	Overflow bool   `json:"overflow,omitempty"`
	Failed   string `json:"failed,omitempty"` // why the action was not done

	Process // of the last access
}

// A Gap is a time, or a place, of which the record knows nothing, or not all.
type Gap struct {
	Type   string    `json:"type"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"`    // zero: it goes on
	Path   string    `json:"path,omitempty"` // where; everywhere if it is ""
	Lost   uint64    `json:"lost,omitempty"` // how often the kernel said that it lost some
	Reason string    `json:"reason"`
}

// A Stop is where tracking ended.
type Stop struct {
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// A Path is the history of one path. Only those that were used last have one.
type Path struct {
	Type  string            `json:"type"`
	Path  string            `json:"path"`
	First time.Time         `json:"first"`
	Last  time.Time         `json:"last"`
	Ops   map[string]uint64 `json:"ops"`            // accesses by Op
	Size  int64             `json:"size,omitempty"` // bytes, when it was closed last
	By    Process           `json:"by"`             // the last one
}

// Totals count everything, also what is not on record line by line.
type Totals struct {
	Type  string            `json:"type"`
	Since time.Time         `json:"since"`
	Ops   map[string]uint64 `json:"ops"`             // accesses by Op
	Bytes map[string]int64  `json:"bytes,omitempty"` // sizes of the files read and written, by Op
	Fired map[string]uint64 `json:"fired,omitempty"` // alerts by name

	Lost    uint64 `json:"lost,omitempty"`    // how often the kernel's queue overflowed
	Missed  uint64 `json:"missed,omitempty"`  // accesses that have no line
	Dropped uint64 `json:"dropped,omitempty"` // lines that were not written as the disk had no room
	Folders int    `json:"folders,omitempty"` // that are watched one by one right now
}

// Missed tells a reader that was too slow how many lines it did not get.
type Missed struct {
	Type  string `json:"type"`
	Lines uint64 `json:"lines"`
}
