package attack

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/attack/flood"
)

// tunnelBound is how many bytes may get to a wildcard's name server in the time of a test: its
// budget at once, and what some minutes add.
const tunnelBound = 20 << 10

// tunnel tries to get 1 MiB out in names below a wildcard, by asking for them and by connecting to
// them, which is when Blast asks upstream. The far end counts what came.
func (w *world) tunnel() {
	if !chosen("tunnel") {
		return
	}
	before := w.carried()
	out, err := w.command("-e", "rooted", "run", "--", "/workspace/attacker", "flood", "tunnel").Output()
	w.try(err)
	var r flood.Report
	w.try(json.Unmarshal(out, &r))
	got := w.carried() - before
	w.t.Logf("tunnel: of 1 MiB in %d names %d were allowed, and %d bytes got to the name server, in %v", r.Through+r.Refused, r.Through, got, r.Took)
	if r.Control != "" {
		w.t.Errorf("tunnel: its control: %s", r.Control)
	}
	if got == 0 || got > tunnelBound {
		w.t.Errorf("tunnel: %d bytes got to the name server, want a few and at most %d", got, tunnelBound)
	}
	all, _, err := denial.Read(filepath.Join(state.NewEnv(w.project, "rooted", 0, 0).Run, denial.File), 0)
	if !slices.ContainsFunc(all, func(d denial.Denial) bool { return strings.Contains(d.Reason, "new names below *.wild.example") }) {
		w.t.Errorf("tunnel: none of %d refusals says why, %v", len(all), err)
	}
}

// carried counts the bytes below the wildcard that the name server was asked for, each name once.
func (w *world) carried() int {
	seen, n := map[string]bool{}, 0
	for _, q := range w.names.Asked() {
		name, _, _ := strings.Cut(strings.ToLower(q), " ")
		if below, ok := strings.CutSuffix(name, ".wild.example."); ok && !seen[below] {
			seen[below] = true
			n += len(below)
		}
	}
	return n
}
