//go:build linux

package sandbox

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

// IDs is a range of user and group ids of the host that no account has. Id n of
// the sandbox is id Base+n of the host. See user_namespaces(7).
type IDs struct {
	Base uint32 `json:"base"`
	Size uint32 `json:"size"`
}

// IDsNote is the name of the note that holds an environment's IDs.
const IDsNote = "userns"

// The ranges that Blast takes from: a part of the 32-bit ids that systemd's
// UIDS-GIDS.md lists as unused, above all that containers of others are given.
const (
	idsSize  = 1 << 16
	idsFirst = 0x7000_0000
	idsSlots = 4094
)

// LoadIDs reads the environment's IDs and reports whether it has any.
func LoadIDs(env state.Env) (IDs, bool, error) {
	var ids IDs
	ok, err := env.ReadNote(IDsNote, &ids)
	if err == nil && ok && (ids.Size != idsSize || ids.Base < idsFirst || ids.Base >= idsFirst+idsSlots*idsSize || ids.Base%idsSize != 0) {
		return IDs{}, false, fmt.Errorf("note %s: %+v is no range that blast gives", IDsNote, ids)
	}
	return ids, ok, err
}

// ClaimIDs returns the environment's IDs, and gives it some if it has none: the
// same ones again after a reboot, as long as nobody else took them meanwhile.
func ClaimIDs(env state.Env) (IDs, error) {
	ids, ok, err := LoadIDs(env)
	if err != nil {
		return ids, err
	}
	if !ok {
		if ids, err = claimIDs(env); err != nil {
			return ids, err
		}
	}
	return ids, openRun(env, int(ids.Base), 0o710)
}

// openRun lets the container's root, while it makes the container, walk through
// the run folder to the skeleton. It is a group of nobody's, so this opens the
// folder to no account of the host; nor to the commands, which see none of it.
func openRun(env state.Env, gid int, mode os.FileMode) error {
	if err := os.Chown(env.Run, 0, gid); err != nil {
		return fmt.Errorf("open run folder: %w", err)
	}
	if err := os.Chmod(env.Run, mode); err != nil {
		return fmt.Errorf("open run folder: %w", err)
	}
	return nil
}

func claimIDs(env state.Env) (IDs, error) {
	unlock, err := lockRegistry(filepath.Dir(env.Run))
	if err != nil {
		return IDs{}, err
	}
	defer unlock()
	taken, err := takenIDs(filepath.Dir(env.Run))
	if err != nil {
		return IDs{}, err
	}
	ids, ok := pickIDs(env.ID, taken)
	if !ok {
		return IDs{}, errors.New("all ranges of user ids are taken")
	}
	return ids, env.WriteNote(IDsNote, ids)
}

// ReleaseIDs gives the environment's IDs back.
func ReleaseIDs(env state.Env) error {
	if _, err := os.Lstat(env.Run); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := openRun(env, 0, 0o700); err != nil {
		return err
	}
	return env.DropNote(IDsNote)
}

// lockRegistry excludes another claim. The folder itself is what is locked, so
// no file is left behind.
func lockRegistry(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("claim user ids: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("claim user ids: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("claim user ids: lock %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// span is ids first..last that somebody has.
type span struct{ first, last uint64 }

// takenIDs lists what other environments and subuid(5) have.
func takenIDs(dir string) ([]span, error) {
	var taken []span
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("claim user ids: %w", err)
	}
	for _, e := range es {
		if !e.IsDir() {
			continue
		}
		ids, ok, err := LoadIDs(state.Env{Run: filepath.Join(dir, e.Name())})
		if err != nil {
			return nil, fmt.Errorf("claim user ids: %s: %w", e.Name(), err) // it may be in use: better none than twice
		}
		if ok {
			taken = append(taken, span{uint64(ids.Base), uint64(ids.Base) + uint64(ids.Size) - 1})
		}
	}
	for _, path := range []string{"/etc/subuid", "/etc/subgid"} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("claim user ids: %w", err)
		}
		taken = append(taken, subordinate(bufio.NewScanner(f))...)
		_ = f.Close()
	}
	return taken, nil
}

// subordinate reads the ranges of subuid(5): name:first:count.
func subordinate(lines *bufio.Scanner) []span {
	var all []span
	for lines.Scan() {
		f := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && count > 0 {
			all = append(all, span{first, first + count - 1})
		}
	}
	return all
}

// pickIDs finds a free range. Where to look first depends on the environment
// alone, so that files which it owns keep their owner over a reboot.
func pickIDs(envID string, taken []span) (IDs, bool) {
	start := 0
	if b, err := hex.DecodeString(envID); err == nil && len(b) >= 4 {
		start = (int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])) % idsSlots
	}
	for i := range idsSlots {
		base := uint64(idsFirst + (start+i)%idsSlots*idsSize)
		if free(base, taken) {
			return IDs{Base: uint32(base), Size: idsSize}, true
		}
	}
	return IDs{}, false
}

func free(base uint64, taken []span) bool {
	for _, s := range taken {
		if s.first < base+idsSize && base <= s.last {
			return false
		}
	}
	return true
}
