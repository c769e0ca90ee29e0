package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/state"
)

// witnessed is how what was observed came to differ from the records, by address, as far
// as anybody knows. It only explains, so nothing fails for want of it.
func (e *Engine) witnessed(ctx context.Context, env state.Env, st state.State, observed []plan.Object) map[string]string {
	if alike(st.Objects, observed) {
		return nil
	}
	all := map[string]string{}
	if restarted(env, st) {
		for _, o := range st.Objects {
			all[o.Addr] = "the machine was restarted"
		}
		return all
	}
	for name, h := range e.hosts {
		w, ok := h.(kinds.Witness)
		if !ok {
			continue
		}
		known, err := w.Witness(ctx, env)
		if err != nil {
			e.log.Warn("what is known of changes by others", "env", env.ID, "kind", name, "err", err)
		}
		maps.Copy(all, known)
	}
	return all
}

// alike reports whether there is nothing to explain.
func alike(recorded, observed []plan.Object) bool {
	has := func(o plan.Object) bool {
		return slices.ContainsFunc(observed, func(is plan.Object) bool {
			return is.Addr == o.Addr && (bytes.Equal(is.Attrs, o.Attrs) || is.Digest() == o.Digest())
		})
	}
	return len(recorded) == len(observed) && !slices.ContainsFunc(recorded, func(o plan.Object) bool { return !has(o) })
}

// restarted reports whether the machine was started after the last commit, which
// leaves nothing below state.RunRoot.
func restarted(env state.Env, st state.State) bool {
	if _, err := os.Lstat(env.Run); !errors.Is(err, fs.ErrNotExist) || st.Origin.Time.IsZero() {
		return false
	}
	b, err := os.ReadFile("/proc/stat")
	return err == nil && st.Origin.Time.Before(bootTime(string(b)))
}

// bootTime reads btime, the second in which the kernel was started; proc_stat(5).
func bootTime(stat string) time.Time {
	for line := range strings.Lines(stat) {
		if n, ok := strings.CutPrefix(line, "btime "); ok {
			if s, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64); err == nil {
				return time.Unix(s, 0)
			}
		}
	}
	return time.Time{}
}
