//go:build linux

package generation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/state"
)

// lockMode is the mode of a lock file that Blast makes: it is checked in.
const lockMode fs.FileMode = 0o644

// maxLock bounds a lock file, in bytes, as the resolver does.
const maxLock = 32 << 20

// A kept is the lock file as it was before a change, on disk from before the file
// is written until Commit. It says which change it belongs to: only the reverse of
// that one puts it back. (Deleting a set looks the same as undoing its creation,
// and must leave the file.)
type kept struct {
	From string `json:"from"` // digest of Change.From
	To   string `json:"to"`
	Path string `json:"path"` // relative to the project

	Absent  bool        `json:"absent,omitempty"`
	Content []byte      `json:"content,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	UID     int         `json:"uid,omitempty"`
	GID     int         `json:"gid,omitempty"`
}

func digest(attrs json.RawMessage) string {
	if attrs == nil {
		return ""
	}
	return plan.Digest(attrs)
}

// applyLock makes the lock file what the target says, or what it was before if c is
// the undo of the change that wrote it.
func applyLock(env state.Env, f *folder, c plan.Change, to target) error {
	k, err := readKept(f)
	if err != nil {
		return err
	}
	if k != nil && k.From == digest(c.To) && k.To == digest(c.From) {
		return k.restore(env)
	}
	if to.none() || to.drift {
		return nil // a change that wrote nothing has nothing to put back
	}
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	return p.writeLock(f, c, k, to.set)
}

// writeLock writes the lock file if it differs, keeping what is there.
func (p *project) writeLock(f *folder, c plan.Change, old *kept, set packages.Set) error {
	name, err := p.lockName(set)
	if err != nil || name == "" {
		return err
	}
	was, err := p.read(name)
	if err != nil || was.agrees(set) {
		return err
	}
	if old == nil || old.From != digest(c.From) || old.To != digest(c.To) || old.Path != name {
		was.From, was.To, was.Path = digest(c.From), digest(c.To), name
		if err := was.keep(f); err != nil {
			return err
		}
	}
	return p.write(name, []byte(set.Lock.Content), lockMode, p.env.UID, p.env.GID)
}

// missing reports whether there is no lock file. An empty one keeps the place of
// an absent one, so that nobody inside can make it.
func (k kept) missing() bool { return k.Absent || len(k.Content) == 0 }

// agrees reports whether the file needs no writing. A project without packages
// gets no lock file.
func (k kept) agrees(set packages.Set) bool {
	if k.missing() {
		return len(set.Packages) == 0
	}
	return string(k.Content) == set.Lock.Content
}

// lockDrift says how the lock file differs from the set's.
func lockDrift(env state.Env, set packages.Set) (string, error) {
	p, err := openProject(env)
	if err != nil {
		return "", err
	}
	defer func() { _ = p.root.Close() }()
	name, err := p.lockName(set)
	if err != nil || name == "" {
		return "", err
	}
	is, err := p.read(name)
	switch {
	case errors.Is(err, errNotRegular):
		return name + " is no plain file", nil
	case err != nil:
		return "", err
	case is.agrees(set):
		return "", nil
	case is.missing():
		return name + " is missing", nil
	}
	if is.UID != env.UID { // else any program of the person's may have done it
		return fmt.Sprintf("%s was changed, and belongs to user %d", name, is.UID), nil
	}
	return name + " was changed", nil
}

// readKept reads what was kept; nil is nothing.
func readKept(f *folder) (*kept, error) {
	b, err := readRegular(f.root, lockRecord, 2*maxLock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock file of before: %w", err)
	}
	return &k, nil
}

// keep has k on disk before it returns.
func (k kept) keep(f *folder) error {
	b, err := json.Marshal(k)
	if err == nil {
		err = replace(f.root, lockRecord, b, 0o600, os.Geteuid(), os.Getegid())
	}
	if err != nil {
		return fmt.Errorf("keep lock file: %w", err)
	}
	return nil
}

// restore puts the lock file back. What was written in between is lost, as it was
// written over something that is undone.
func (k kept) restore(env state.Env) error {
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	if !k.Absent {
		return p.write(k.Path, k.Content, k.Mode, k.UID, k.GID)
	}
	if err := p.root.Remove(k.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove lock file: %w", err)
	}
	return nil
}

// dropDraft removes what a process left that died while it wrote the lock file.
func dropDraft(env state.Env, f *folder) error {
	k, err := readKept(f)
	if k == nil || err != nil {
		return err
	}
	p, err := openProject(env)
	if err != nil {
		return err
	}
	defer func() { _ = p.root.Close() }()
	if err := ignoreMissing(p.root.Remove(draftOf(k.Path))); err != nil {
		return fmt.Errorf("remove draft of lock file: %w", err)
	}
	return nil
}
