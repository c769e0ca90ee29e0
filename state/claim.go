package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// claimName is the note that says whose a run folder is.
const claimName = "env"

// ClaimFile is the file of that note.
const ClaimFile = claimName + ".json"

// A Claim says to which environment a run folder belongs, and so everything that is
// called by its id.
type Claim struct {
	Env
	Lineage string    `json:"lineage,omitempty"` // of its records
	Folder  Place     `json:"folder,omitzero"`   // Env.Dir, wherever it is moved to
	Addrs   []string  `json:"addresses,omitempty"`
	Since   time.Time `json:"since,omitzero"` // when there was nothing yet
}

// readClaim returns the claim on the environment's run folder; nil is nobody's.
func (e Env) readClaim() (*Claim, error) {
	var c Claim
	ok, err := e.ReadNote(claimName, &c)
	if err != nil || !ok {
		return nil, err
	}
	return &c, nil
}

// Claim notes that what is called by the environment's id is its own, before any of
// it is made: of what lineage its records are, and the addresses of the objects that
// there may be. Only the holder of the lock may.
func (e Env) Claim(lineage string, addrs []string) error {
	c := Claim{Env: e, Lineage: lineage, Addrs: addrs, Since: time.Now().UTC().Truncate(time.Second)}
	old, err := e.readClaim()
	if err != nil {
		return err
	}
	if old != nil {
		c.Since = old.Since
	}
	if c.Folder, err = placeOf(e.Dir); err != nil {
		return fmt.Errorf("claim run folder: %w", err)
	}
	c.Folder = c.Folder.withHandle(e.Dir)
	return e.WriteNote(claimName, c)
}

// Renew lets the claim say where the environment is now, if its folder was moved since.
// Only the holder of the lock may. It returns an error if the claim is another's, or if
// an orphan is none any more.
func (e Env) Renew() error {
	c, err := e.readClaim()
	switch {
	case err != nil:
		return err
	case e.Orphaned():
		return c.orphaned(e)
	case c == nil:
		return nil
	}
	rec, err := e.recorded()
	if err != nil {
		return err
	}
	switch whose, of := e.standing(rec.lineage); whose {
	case copied:
		return &CopyError{Project: e.Project, Of: of}
	case others:
		return fmt.Errorf("what is called %s on this host is another environment's by now: try again", e.ID)
	case ours:
	}
	if c.Dir == e.Dir && c.Folder.is(e.Dir) {
		return nil
	}
	return e.Claim(c.Lineage, c.Addrs)
}

// orphaned is an error if e is no orphan of the claim's.
func (c *Claim) orphaned(e Env) error {
	if c == nil {
		return fmt.Errorf("there is nothing of %s on this host any more", e.ID)
	}
	if now, why := c.Now(); why == "" {
		return fmt.Errorf("%s is no orphan: its project is %s", e.ID, now.Project)
	}
	return nil
}

// Settled reports whether Renew has nothing to do.
func (e Env) Settled() bool {
	c, err := e.readClaim()
	if err != nil || e.Orphaned() {
		return err == nil && c.orphaned(e) == nil
	}
	_, err = os.Lstat(e.Orphan().Dir) // who ended an orphan here didn't finish
	return err != nil && e.InPlace()
}

// standing says whose the claim on a run folder is.
type standing int

const (
	ours   standing = iota // or nobody's
	others                 // another environment's
	copied                 // that of the folder which this one is a copy of
)

// standing weighs the claim against the records in e.Dir, of this lineage or none.
func (e Env) standing(lineage string) (standing, Env) {
	c, err := e.readClaim()
	switch {
	case err != nil:
		return others, Env{} // nobody can tell whose
	case c == nil || c.Folder.is(e.Dir):
		return ours, Env{}
	case lineage != "" && c.Lineage != "" && lineage != c.Lineage:
		return others, Env{}
	}
	now, why := c.Now()
	switch {
	case why == "" && now.Dir != e.Dir && lineage != "": // its folder is another, and has the same records
		return copied, now
	case why == "" && now.Dir != e.Dir: // that one was here once
		return others, Env{}
	case lineage != "": // the folder is gone: this one was moved or put back from elsewhere
		return ours, Env{}
	case c.Dir == e.Dir && (c.UID == e.UID || e.UID == 0): // the records were lost
		return ours, Env{}
	}
	return others, Env{}
}

// A CopyError is a project whose records are those of another one, which is there.
// Two folders must not have one sandbox.
type CopyError struct {
	Project string
	Of      Env
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("%s has the same records as %s, which its sandbox belongs to: one of the two is a copy. "+
		"To give this one records and a sandbox of its own, run `blast state fork` here; if this is the one to keep, remove %s first", e.Project, e.Of.Project, e.Of.Dir)
}

// Now is the environment of a claim where it is now, after its folder was moved, say.
// If none of its records are left anywhere, it is an orphan: why says so, and the
// environment has its records in the run folder.
func (c Claim) Now() (e Env, why string) {
	if c.Folder.Ino == 0 { // of an older Blast
		if _, err := placeOf(c.Dir); err == nil {
			return c.Env, ""
		}
	}
	if c.Folder.is(c.Dir) {
		return c.Env, ""
	}
	if dir, f := c.Folder.find(c.Dir); f == alive {
		if e, ok := c.at(dir); ok {
			return e, ""
		}
	}
	if rec, err := c.recorded(); err == nil && rec.lineage != "" && rec.lineage == c.Lineage {
		return c.Env, "" // put back from a copy
	}
	e = c.Orphan()
	if _, err := os.Lstat(c.Project); errors.Is(err, fs.ErrNotExist) {
		return e, "its project folder is gone"
	}
	return e, "its records in the project folder are gone"
}

// Orphan is the environment with its records in the run folder, as long as those in the
// project are gone.
func (e Env) Orphan() Env {
	e.Dir = filepath.Join(e.Run, orphanDir)
	return e
}

// orphanDir is the folder of a run folder in which the end of an orphan is on record.
const orphanDir = "orphan"

// Orphaned reports whether the environment's records are in its run folder, as those
// in the project are gone.
func (e Env) Orphaned() bool { return e == e.Orphan() }

// at is the environment with its records in another folder.
func (e Env) at(dir string) (Env, bool) {
	project, name, ok := strings.Cut(dir, "/.blast/")
	if !ok || CheckName(name) != nil || CheckProject(project) != nil {
		return e, false
	}
	e.Project, e.Name, e.Dir = project, name, dir
	return e, true
}

// InPlace reports whether the environment's folder is where it was noted to be. Who only
// has it for a short time needn't ask.
func (e Env) InPlace() bool {
	c, err := e.readClaim()
	return err == nil && (c == nil || c.Dir == e.Dir && c.Folder.is(e.Dir))
}

// Follow is the environment where it is now, if its folder was moved while this process
// had it.
func (e Env) Follow() Env {
	c, err := e.readClaim()
	if c == nil || err != nil || e.Orphaned() {
		return e
	}
	now, why := c.Now()
	if why != "" {
		return e
	}
	e.Project, e.Name, e.Dir = now.Project, now.Name, now.Dir
	return e
}

// Home is the environment where it is now. False is one of which no records are left, or
// nobody can tell: what is at its old path then may be another project's.
func (e Env) Home() (Env, bool) {
	c, err := e.readClaim()
	if err != nil {
		return e, false
	}
	if c == nil { // nobody has claimed anything yet
		return e, !e.Orphaned()
	}
	now, why := c.Now()
	return now, why == ""
}

// Claims lists what is on this host, of whichever project. What can't be read is an
// error beside the others.
func Claims() ([]Claim, error) {
	es, err := os.ReadDir(runRoot)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var all []Claim
	var errs []error
	for _, d := range es {
		if !d.IsDir() || !isID(d.Name()) {
			continue
		}
		c, err := Env{}.called(d.Name()).readClaim()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("list environments: %s: %w", d.Name(), err))
		case c != nil && c.ID == d.Name():
			all = append(all, *c)
		}
	}
	return all, errors.Join(errs...)
}

// Sweep removes run folders with nothing in them: who removed the claim on one, which goes
// last, died before the folder. Only the daemon may, before it makes any.
func Sweep() {
	es, err := os.ReadDir(runRoot)
	if err != nil {
		return // Claims says why
	}
	for _, d := range es {
		if isID(d.Name()) {
			_ = os.Remove(filepath.Join(runRoot, d.Name())) // what has something in it stays
		}
	}
}

// Assumed are the addresses of what there may be of the environment, as its claim says.
func (e Env) Assumed() []string {
	if c, err := e.readClaim(); err == nil && c != nil {
		return c.Addrs
	}
	return nil
}

// Claimed reports whether there may be something of the environment on this host.
func (e Env) Claimed() (bool, error) {
	c, err := e.readClaim()
	return c != nil, err
}
