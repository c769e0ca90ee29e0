// Package pylock reads and writes pylock.toml (PEP 751 and the pylock.toml page
// of the PyPA): which wheel of which project an environment gets, from where and
// with which hash.
//
// It is pure and reads what other tools wrote, too: entries that Blast can't
// install, such as a project of which there is only source, are kept and say
// why in Unusable.
package pylock

// CreatedBy is who wrote a file, when Blast did.
const CreatedBy = "blast"

// Version is the lock-version that Encode writes.
const Version = "1.0"

// A File is a whole lock file. Everything that Encode writes, Decode reads back
// equal, when lists are in Encode's order and empty lists are nil.
type File struct {
	LockVersion    string   // "1.0"; Encode writes Version when it is empty
	Environments   []string // markers (PEP 508): for which the file was made; none is any
	RequiresPython string   // specifiers (PEP 440): ">=3.11"
	CreatedBy      string   // "blast"; Encode writes CreatedBy when it is empty
	Packages       []Package
	Fit            Fit
}

// A Fit tells whether a lock of Blast's still answers what is asked now. Its
// values are digests that the resolver made; equal means it does. It is
// [tool.blast], and empty in the lock files of others.
type Fit struct {
	Requirements string // of the requirements and indexes that were resolved
	Interpreter  string // of the interpreter's tags and marker values
}

// A Package is one project at one version.
type Package struct {
	Name           string // normalised (PEP 503)
	Version        string // PEP 440; "" if the file leaves it open, as a source tree may
	Marker         string // PEP 508; "" is always
	RequiresPython string
	Dependencies   []Dependency // for people and tools; the file lists all packages anyway
	Index          string       // root of the simple API (PEP 503)
	Wheels         []Wheel

	// Direct and Extras are Blast's own, [packages.tool.blast]: whether a line
	// asked for the project, and with which extras.
	Direct bool
	Extras []string

	// Unusable says why no wheel of it can be installed; "" if one can. Encode
	// does not write it.
	Unusable string
}

// A Dependency names another package of the file. Version is there only where
// the name alone is not unique.
type Dependency struct{ Name, Version string }

// A Wheel is one file of a package.
type Wheel struct {
	Name   string // file name
	URL    string // http or https
	Path   string // relative to the lock file; Blast installs only what has a URL
	Size   int64  // bytes; 0 is unknown
	SHA256 string // 64 hex digits, lower case

	// Unusable says why it can't be installed; "" if it can. Encode does not
	// write it.
	Unusable string
}
