package plan

// Action is what happens to an object or an item, in Terraform's words.
type Action string

// The actions, as they appear in a plan's JSON.
const (
	NoOp    Action = "no-op"
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace" // a new one is made beside the old, which is then deleted
	Delete  Action = "delete"
)

// Sign is the mark shown before a line of a plan.
func (a Action) Sign() string {
	switch a {
	case Create:
		return "+"
	case Update:
		return "~"
	case Replace:
		return "-/+"
	case Delete:
		return "-"
	}
	return " "
}

// Access says whether a change lets the sandbox do more or less than before.
type Access string

// The directions of access. A change may go both ways at once.
const (
	Same   Access = ""
	Widen  Access = "widen"
	Narrow Access = "narrow"
	Both   Access = "both"
)

// Add joins two directions.
func (a Access) Add(b Access) Access {
	switch {
	case a == b || b == Same:
		return a
	case a == Same:
		return b
	}
	return Both
}

// An Item is one labelled block or attribute that a person wrote, as a plan
// shows it. A kind makes Items from a Change; Diff fills in the place and cause.
type Item struct {
	Name   string `json:"name"`             // key into Object.Src: "egress.database", "memory.max"
	Action Action `json:"action"`           //
	Before string `json:"before,omitempty"` // in the units a person writes
	After  string `json:"after,omitempty"`
	Access Access `json:"access,omitempty"`

	// Restart means that the change takes a new sandbox: commands that run now
	// end when it is applied. Otherwise the change is live.
	Restart bool `json:"restart,omitempty"`

	Place   string `json:"place,omitempty"` // blast.hcl:12
	Cause   Cause  `json:"cause,omitempty"`
	Because string `json:"because,omitempty"` // the cause in words, where there is more to say than its name
}

// Cause says why there is something to do.
type Cause string

// The causes of a change. A kind may set one itself; else Diff works it out.
const (
	ByConfiguration Cause = "configuration" // a line of blast.hcl, or of a file that it reads
	ByVariable      Cause = "variable"      // the same, and variables have a part in it
	ByDrift         Cause = "drift"         // somebody else changed the host
	ByPackage       Cause = "package"       // other versions were chosen for the same wishes
	ByRequest       Cause = "request"       // --replace, or a destroy
	BySecret        Cause = "secret"        // the value of a secret is another one
	ByGeneration    Cause = "generation"    // a rollback asks for it
	BySnapshot      Cause = "snapshot"      // a load asks for it
)

// A Description is how a kind tells a person about one Change.
type Description struct {
	Summary string // the new side in one line: "2 CPUs, 2 GiB, 512 processes"; "" if the object has no line of its own
	Items   []Item
	Notes   []string // warnings: "memory.high without swap throttles to a near-hang"
}
