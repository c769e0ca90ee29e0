package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/state"
)

// tooLarge is the exit code of a command that a limit of file sizes ended: SIGXFSZ.
const tooLarge = 128 + 25

// tree is filesystem.Tree, as far as it is explained.
type tree struct {
	MaxFileSize uint64 `json:"max_file_size"`
}

// askRooms tells which file systems of the sandbox are full, now that a command failed. A
// full one that has room again nobody knows of: no kernel counts that.
func (s Session) askRooms(ctx context.Context, c *client.Client, st state.State, code int) {
	var res wire.SurveyResult
	if err := c.Call(ctx, wire.Survey, wire.SurveyParams{ID: s.Env.ID}, &res, nil); err != nil {
		return // it only explains
	}
	for _, f := range res.Environments {
		s.explainRooms(st, f.Vitals.Rooms, code)
	}
}

// explainRooms tells of those that are full, and of the limit that ended a command.
func (s Session) explainRooms(st state.State, rooms []state.Room, code int) {
	said := false
	tell := func(what, why, item, raise string) {
		if !said {
			s.calm()
			s.say("\n%-78s [R102]", "blast: at a bound of the sandbox, not of the machine's disk")
			said = true
		} else {
			s.say("")
		}
		s.say("  what   %s", clean(what))
		s.say("  why    %-68s %s", clean(why), clean(placeOf(st, treeAddr, item)))
		s.say("  raise  %s", clean(raise))
	}
	for _, r := range rooms {
		full := r.Full()
		if full == "" {
			continue
		}
		tell(filled(r, full)+" (ENOSPC, No space left on device)", bound(r, full), item(r, full), wider(r, full))
	}
	if code == tooLarge {
		var t tree
		for _, o := range st.Objects {
			if o.Addr == treeAddr {
				_ = o.Decode(&t) // what can't be read is said without its number
			}
		}
		if t.MaxFileSize > 0 {
			tell("a file grew too large (SIGXFSZ, File size limit exceeded)", "max_file_size is "+size(t.MaxFileSize), "max_file_size",
				fmt.Sprintf("max_file_size = %s in the filesystem block, say; then blast apply", quoted(2*t.MaxFileSize)))
		}
	}
}

func filled(r state.Room, full string) string {
	name := r.Path
	if r.Name == layerItem {
		name = "the writable layer, with " + r.Path + " in it,"
	}
	if full == "inodes" {
		return fmt.Sprintf("%s has no inode left of %d: too many files", name, r.Most)
	}
	return fmt.Sprintf("%s is full: %s of %s", name, size(uint64(r.Used)), size(uint64(r.Max)))
}

// layerItem is how the layer's room is called.
const layerItem = "size"

// item is the key of the line that says how much there is.
func item(r state.Room, full string) string {
	word := "size"
	if full == "inodes" {
		word = "inodes"
	}
	if r.Name != layerItem {
		return r.Name + "." + word
	}
	return word
}

func bound(r state.Room, full string) string {
	word := "size"
	if full == "inodes" {
		word = "inodes"
	}
	if r.Name == layerItem {
		return "that is " + word + " of the filesystem block"
	}
	return fmt.Sprintf("that is %s of tmpfs %q, or its default", word, r.Path)
}

// wider is twice of what there is, in blast.hcl's words.
func wider(r state.Room, full string) string {
	line := "size = " + quoted(2*uint64(r.Max))
	if full == "inodes" {
		line = "inodes = " + strconv.FormatInt(2*r.Most, 10)
	}
	switch {
	case r.Name != layerItem:
		return fmt.Sprintf("write %s in tmpfs %q of the filesystem block, say; then blast apply, and what runs goes on", line, r.Path)
	case r.Memory:
		return "write " + line + " in the filesystem block, say; then blast apply, and what runs goes on"
	}
	return "write " + line + " in the filesystem block, say; then blast destroy and blast apply: what is in it goes, or blast save it before"
}

// quoted is a size as blast.hcl has it, in whole MiB.
func quoted(n uint64) string {
	return strconv.Quote(strings.ReplaceAll(size(max(n>>20, 1)<<20), " ", ""))
}
