package state

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"blast.example/blast/state/backend/local"
)

// isID reports whether an id can be one: it becomes part of paths.
func isID(id string) bool { return len(id) == 12 && strings.Trim(id, "0123456789abcdef") == "" }

// idOf is the id of the environment of that name in a folder, unless it is recorded
// under another one. Of those that other environments have, try is the next.
func idOf(project, name string, try int) string {
	text := project + "\x00" + name
	if try > 0 {
		text += "\x00" + strconv.Itoa(try)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// called is the environment under an id.
func (e Env) called(id string) Env {
	e.ID, e.Run, e.Cgroup = id, filepath.Join(runRoot, id), "/blast/"+id
	return e
}

// tries bounds how many ids may be others' before Open gives up.
const tries = 16

// Open returns the environment of that name in a project folder, as NewEnv does, but
// under the id that its records have: what was made on this host is called by that,
// also when the folder was moved since. An id that another environment has by now is
// none of its own, and it gets the next.
//
// A *CopyError says that the folder is a copy of another one that is there; the
// environment is returned beside it. Else an error means that the records can't be
// trusted or read.
func Open(project, name string, uid, gid int) (Env, error) {
	e := NewEnv(project, name, uid, gid)
	rec, err := e.recorded()
	if err != nil {
		return e, err
	}
	for _, id := range e.ids(rec) {
		c := e.called(id)
		if _, err := c.readClaim(); err != nil && !errors.Is(err, fs.ErrPermission) { // nobody can tell whose it is
			return e, fmt.Errorf("%w; remove it, then end what it was about and make it anew (blast destroy, blast apply)", err)
		}
		switch whose, of := c.standing(rec.lineage); whose {
		case ours:
			return c, nil
		case copied:
			return c, &CopyError{Project: project, Of: of}
		case others:
		}
	}
	return e, fmt.Errorf("all ids of environment %s in %s are other environments': end some (blast ps --all)", name, project)
}

// ids are those that the environment may have, in order.
func (e Env) ids(rec identity) []string {
	var all []string
	if rec.id != "" {
		all = append(all, rec.id)
	}
	for try := range tries {
		all = append(all, idOf(e.Project, e.Name, try))
	}
	return all
}

// identity is what records say of whose they are.
type identity struct{ id, lineage string }

// recorded reads the identity: from the state, or before the first commit from the
// journal. Nothing recorded is none.
func (e Env) recorded() (identity, error) {
	f, err := local.Open(e.Dir, stateName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e.begun(), nil
	case errors.Is(err, fs.ErrPermission):
		return identity{}, nil // not root: whatever comes next says so
	case err != nil:
		return identity{}, fmt.Errorf("read state: %w", err)
	}
	defer func() { _ = f.Close() }()
	rec, err := readIdentity(f)
	if err != nil {
		return identity{}, nil // Load tells what is wrong with it
	}
	if rec.id != "" && !isID(rec.id) {
		return identity{}, e.corrupt(stateName, fmt.Errorf("%q is no id", rec.id))
	}
	return rec, nil
}

// readIdentity reads a state no further than it must: that is on the way of every
// command.
func readIdentity(r io.Reader) (identity, error) {
	var rec identity
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return rec, errors.Join(errors.New("it is no JSON object"), err)
	}
	for dec.More() && (rec.id == "" || rec.lineage == "") {
		key, err := dec.Token()
		if err != nil {
			return rec, err
		}
		var into any = new(json.RawMessage)
		switch key {
		case "id":
			into = &rec.id
		case "lineage":
			into = &rec.lineage
		}
		if err := dec.Decode(into); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

// begun reads the identity from the journal of a first apply. What is wrong with that
// Unfinished tells.
func (e Env) begun() identity {
	l, err := e.beginning()
	if err != nil || l.Plan == nil || !isID(l.ID) {
		return identity{}
	}
	return identity{l.ID, l.Plan.Lineage}
}
