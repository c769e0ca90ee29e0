//go:build linux

package room

import "blast.example/blast/state"

// floorsNote is there while something goes on by force below the reserve.
const floorsNote = "room"

// A Floor is the reserve that holds then.
type Floor struct {
	Bytes  int64 `json:"bytes"`
	Inodes int64 `json:"inodes"`
}

// Floors are those of an environment, by a path that leads to the disk.
type Floors map[string]*Floor

func (r reserve) floor() *Floor { return &Floor{r.bytes, r.inodes} }

// LoadFloors returns them; nothing as a rule.
func LoadFloors(env state.Env) (f Floors, err error) {
	_, err = env.ReadNote(floorsNote, &f)
	return f, err
}

func (f Floors) keep(env state.Env) error { return env.WriteNote(floorsNote, f) }

// DropFloors forgets them: the reserve holds.
func DropFloors(env state.Env) error { return env.DropNote(floorsNote) }
