// Package state keeps what Blast knows about one environment on disk: what is
// there (state.json), what is being changed right now (journal.jsonl), who may
// change it (lock), and the notes that live and die with the kernel objects.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"blast.example/blast/state/backend/local"
)

// RunRoot holds one folder per live environment. It is on a tmpfs, so it goes
// away at a reboot together with the kernel objects that it describes.
const RunRoot = "/run/blast"

// runRoot is RunRoot, but in tests.
var runRoot = RunRoot

// Env names an environment and says where its records are kept. The zero value
// is not usable; see NewEnv.
type Env struct {
	ID      string `json:"id"`      // 12 hex digits, of folder and name when it was applied first
	Name    string `json:"name"`    // "default", or the label of the environment block
	Project string `json:"project"` // absolute folder of blast.hcl
	Dir     string `json:"dir"`     // <project>/.blast/<name>: survives a reboot
	Run     string `json:"run"`     // /run/blast/<id>: does not
	Cgroup  string `json:"cgroup"`  // cgroup below the mount point of each hierarchy: /blast/<id>
	UID     int    `json:"uid"`     // the person on whose behalf Blast acts
	GID     int    `json:"gid"`
}

const maxName = 63

// CheckName refuses what can't name an environment: its records lie in a folder of that
// name.
func CheckName(name string) error {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
	if !plain || name == "" || len(name) > maxName || name[0] == '-' || name[0] == '_' {
		return fmt.Errorf("no environment is called %q: names have up to %d letters, digits, - and _, and begin with a letter or digit", name, maxName)
	}
	return nil
}

// CheckProject refuses a folder whose path can't be told to the daemon: what is no
// text would come there as another path, where somebody else's project may lie.
func CheckProject(path string) error {
	if !utf8.ValidString(path) {
		return fmt.Errorf("the project's folder %q has a name that is not UTF-8: rename it", path)
	}
	return nil
}

// Check refuses what names no environment, as it came from another process: nothing is
// to be done in a folder that nobody meant.
func (e Env) Check() error {
	if !isID(e.ID) {
		return fmt.Errorf("%q is no id of an environment", e.ID)
	}
	for _, path := range []string{e.Project, e.Dir, e.Run} {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			return fmt.Errorf("%q is no absolute folder of an environment", path)
		}
	}
	return errors.Join(CheckName(e.Name), CheckProject(e.Project))
}

// NewEnv returns the environment of that name in a project folder, which must be
// absolute and free of symlinks, as if nothing were recorded of it: see Open.
func NewEnv(project, name string, uid, gid int) Env {
	e := Env{Name: name, Project: project, Dir: filepath.Join(project, ".blast", name), UID: uid, GID: gid}
	return e.called(idOf(project, name, 0))
}

// SnapshotsDir is where a project's snapshots are kept, beside the records of its
// environments and beyond them. No environment can be called so: see CheckName.
func SnapshotsDir(project string) string { return filepath.Join(project, ".blast", "snapshots.oci") }

// WriteNote stores v as <Run>/<name>.json in one step. A note says what a kind
// applied, for Observe and for other processes; it is 0600. The folder above can
// be passed through but not listed: a sandbox's ids must reach its root in it.
func (e Env) WriteNote(name string, v any) error {
	if err := os.MkdirAll(filepath.Dir(e.Run), 0o711); err != nil {
		return fmt.Errorf("write note %s: %w", name, err)
	}
	if err := os.Mkdir(e.Run, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write note %s: %w", name, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write note %s: %w", name, err)
	}
	if err := local.Replace(filepath.Join(e.Run, name+".json"), b); err != nil {
		return fmt.Errorf("write note %s: %w", name, err)
	}
	return nil
}

// ReadNote reads the note into v and reports whether there is one.
func (e Env) ReadNote(name string, v any) (bool, error) {
	path := filepath.Join(e.Run, name+".json")
	b, err := local.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		if err = json.Unmarshal(b, v); err != nil {
			err = fmt.Errorf("%s is damaged: %w", path, err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("read note %s: %w", name, err)
	}
	return true, nil
}

// DropNote removes the note. It is no error if there is none.
func (e Env) DropNote(name string) error {
	err := os.Remove(filepath.Join(e.Run, name+".json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop note %s: %w", name, err)
	}
	return nil
}

// store is where the records are kept. Another backend is chosen here.
func (e Env) store() local.Store { return local.Store{Dir: e.Dir} }

// recordPath is what a record is called in messages.
func (e Env) recordPath(name string) string { return filepath.Join(e.Dir, filepath.FromSlash(name)) }

// orphans are the temporary files of a process that died while it replaced a file.
func (e Env) orphans() []string {
	var out []string
	for _, dir := range []string{e.Dir, filepath.Join(e.Dir, history), e.Run} {
		out = append(out, local.Orphans(dir)...)
	}
	return out
}

// Dirty reports whether a process died here in the middle of something, so that
// Unfinished has something to find or to clean.
func (e Env) Dirty() bool {
	if _, err := os.Lstat(e.journal()); err == nil {
		return true
	}
	return len(e.orphans()) > 0
}

// Husk reports whether there is a folder for records and none in it: a process died
// here before it had begun.
func (e Env) Husk() bool { return e.store().Husk() }
