package state

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/plan"
)

// Version is the version of the format of state.json and the journal.
const Version = 1

// maxFile bounds what is read from a state folder: a state with thousands of
// packages is some MiB.
const maxFile = 64 << 20

// A State is what was true after the last successful apply.
type State struct {
	Env     string        // name of the environment
	Lineage string        // made up at the first apply; two states with different lineages have nothing in common
	Serial  uint64        // one more with each commit; 0 is an environment never applied
	Objects []plan.Object // in the order in which they were applied
}

// onDisk is state.json. It is apart from State so that the code may change
// without the file doing so.
type onDisk struct {
	Version     int           `json:"version"`
	Environment string        `json:"environment"`
	Lineage     string        `json:"lineage"`
	Serial      uint64        `json:"serial"`
	Objects     []plan.Object `json:"objects"`
}

// Load reads the recorded state. An environment never applied has serial 0. A
// file that is there but empty, short or of an unknown version is an error: it
// is never taken for "no state".
func (e Env) Load() (State, error) {
	path := filepath.Join(e.Dir, "state.json")
	b, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Env: e.Name}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read state: %w", err)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return State{}, &CorruptError{Path: path, Err: fmt.Errorf("it is no JSON object: %w", err)}
	}
	if v.Version > Version {
		return State{}, &CorruptError{Path: path, Err: errNewer}
	}
	if v.Version != Version {
		return State{}, &CorruptError{Path: path, Err: fmt.Errorf("format version %d, this Blast reads %d", v.Version, Version)}
	}
	var d onDisk
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return State{}, &CorruptError{Path: path, Err: err}
	}
	if d.Serial == 0 || d.Lineage == "" {
		return State{}, &CorruptError{Path: path, Err: errors.New("serial or lineage is missing")}
	}
	return State{Env: d.Environment, Lineage: d.Lineage, Serial: d.Serial, Objects: d.Objects}, nil
}

// A CorruptError is a state or journal that can't be read. Nothing is changed
// while there is one.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	if errors.Is(e.Err, errNewer) {
		return fmt.Sprintf("%s %v: use that one", e.Path, e.Err)
	}
	return fmt.Sprintf("%s is damaged: %v; restore it from a backup, or remove the file and run `blast destroy` to start anew", e.Path, e.Err)
}

// errNewer is not damage, and the file worth keeping.
var errNewer = errors.New("was written by a newer Blast")

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// save writes s as state.json in one step. This rename is the commit point.
func (e Env) save(s State) error {
	b, err := json.MarshalIndent(onDisk{Version, s.Env, s.Lineage, s.Serial, s.Objects}, "", "  ")
	if err != nil {
		return err
	}
	return e.withRoom(func() error { return replaceFile(filepath.Join(e.Dir, "state.json"), append(b, '\n')) })
}

// newLineage returns 32 random hex digits.
func newLineage() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// readBounded reads a record. It follows no link and waits for no pipe: the
// folder around belongs to a person.
func readBounded(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a regular file of at most %d MiB", path, maxFile>>20)
	}
	if err := ours(path, fi); err != nil {
		return nil, err
	}
	b := make([]byte, fi.Size())
	n, err := f.ReadAt(b, 0)
	if n < len(b) {
		return nil, fmt.Errorf("%s: read %d of %d bytes: %w", path, n, len(b), err)
	}
	return b, nil
}

// ours refuses a record that somebody else could have written: what it says is
// carried out with this user's rights.
func ours(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may have been written by somebody else than uid %d; if it is right, make it theirs alone: chown %d, chmod go-w", path, os.Geteuid(), os.Geteuid())
	}
	return nil
}
