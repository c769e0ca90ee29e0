package session

import (
	"path/filepath"
	"strconv"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

// deniedFile is where refused accesses to files are found soon.
func (s Session) deniedFile() string { return filepath.Join(s.Env.Run, access.DeniedFile) }

// explainFiles tells which accesses to files a line refused since the offset, once for each
// path. -1 is that nothing is tracked. Of a command that succeeded nothing is told: programs
// try much that they can do without, and it is on record.
func (s Session) explainFiles(st state.State, from int64, code int) {
	if from < 0 || code == 0 {
		return
	}
	all, err := access.Denials(s.deniedFile(), from)
	if err != nil {
		s.say("blast: can't read which accesses to files were refused: %v", err)
	}
	seen, n, missed := map[string]bool{}, 0, 0
	for _, x := range all {
		missed += x.Missed
		if x.Rule == "" || seen[x.Path+x.Tried] { // the permissions of a file are not ours to explain
			continue
		}
		seen[x.Path+x.Tried] = true
		if n++; n > maxExplained {
			continue
		}
		if n == 1 {
			s.calm()
			s.say("\n%-78s [F103]", "blast: files that the sandbox refused")
		} else {
			s.say("")
		}
		s.explainFile(st, x)
	}
	if n > maxExplained {
		s.say("\n  %d more were refused: blast files --op denied", n-maxExplained)
	}
	if n > 0 && missed > 0 {
		s.say("\n  %d refusals came too fast to note what was tried", missed)
	}
}

func (s Session) explainFile(st state.State, x access.Access) {
	what := x.Tried + " " + name(x.Path)
	if x.To != "" {
		what += " -> " + name(x.To)
	}
	if x.Via != "" {
		what += ", which leads to " + name(x.Via)
	}
	what += " (" + x.Error + ")"
	if x.Command != "" {
		what += ", from " + word(x.Command) + " (pid " + strconv.Itoa(x.PID) + ")"
	}
	s.say("  what   %s", clean(what))
	s.say("  why    %-68s %s", clean(x.Why), clean(placeOf(st, treeAddr, x.Rule)))
	if x.Fix != "" {
		s.say("  fix    %s", clean(x.Fix))
	}
}

// name is a path that a sandboxed process chose, cut where it is longer than anybody
// reads.
func name(p string) string {
	const longest = 200
	if r := []rune(p); len(r) > longest {
		p = string(r[:longest]) + "..."
	}
	return word(p)
}
