//go:build linux

package trial

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// markName is a variable in the environment of each check, and of all that it
// starts: a process that made a session of its own and lost its parents is known
// by it. Its value is another one each time.
const markName = "BLAST_CHECK"

func newMark() (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("mark check: %w", err)
	}
	return markName + "=" + hex.EncodeToString(random[:]), nil
}

// sweep ends what a check left running, also when the apply is cancelled. Where
// commands of others run, that is what has its mark: who wants to stay there can
// take the mark off, and gains nothing that a command doesn't have.
func (r *room) sweep(ctx context.Context, mark string) error {
	return r.box.End(context.WithoutCancel(ctx), func(pid int) bool { return r.fresh || marked(pid, mark) })
}

// marked looks at the variables that a process was started with; see
// proc_pid_environ(5). In the middle of an execve(2) there are none: the old ones are
// gone, or the new ones not there yet. Who didn't look again would miss it.
func marked(pid int, mark string) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	for deadline := time.Now().Add(limbo); ; runtime.Gosched() {
		b, err := os.ReadFile(dir + "/environ")
		if err != nil {
			return false // it has ended
		}
		if len(b) > 0 {
			return slices.ContainsFunc(bytes.Split(b, []byte{0}), func(v []byte) bool { return string(v) == mark })
		}
		if bare(dir) || time.Now().After(deadline) {
			return false
		}
	}
}

// limbo bounds the wait for an execve(2), which takes a fraction of that even on a
// busy machine.
const limbo = time.Second

// bare reports whether a process has no variables and won't get any: it is a zombie,
// or env_start and env_end of proc_pid_stat(5) say so. The name in there, which is
// the second field, may hold anything, but no parenthesis follows it.
func bare(dir string) bool {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return true
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) <= envEnd-3 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return true
	}
	start, end := string(f[envStart-3]), string(f[envEnd-3])
	return start == end && end != "0"
}

// Numbers of fields of proc_pid_stat(5).
const envStart, envEnd = 50, 51
