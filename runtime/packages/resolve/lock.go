package resolve

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/nearest"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/tags"
)

func (r *run) lockPlace() *hcl.Range {
	return &hcl.Range{Filename: r.set.Wishes.LockPath, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// knownUpgrades refuses to upgrade what nobody has: it is a slip of the pen.
func (r *run) knownUpgrades(lock *pylock.File) hcl.Diagnostics {
	var known []string
	for _, a := range r.asks {
		known = append(known, a.req.Key())
	}
	if lock != nil {
		for _, p := range lock.Packages {
			known = append(known, p.Name)
		}
	}
	for _, name := range r.in.Upgrade.Only {
		if !slices.Contains(known, name) {
			return problem(nil, "No such package", fmt.Sprintf("%s is to be upgraded, and neither a line nor %s has it.%s", name, r.set.Wishes.LockPath, nearest.Hint(name, known)))
		}
	}
	return nil
}

// readLock reads the lock file, if there is one.
func (r *run) readLock() (*pylock.File, string, hcl.Diagnostics) {
	b, err := r.lockBytes()
	if errors.Is(err, os.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, "", nil // the filesystem kind keeps an absent one's place with an empty file
	}
	if err != nil {
		return nil, "", problem(r.lockPlace(), "Can't read lock file", err.Error()+".")
	}
	file, err := pylock.Decode(b)
	if err != nil {
		return nil, "", problem(r.lockPlace(), "Invalid lock file",
			fmt.Sprintf("%v. Restore it from version control, or remove it to resolve anew.", err))
	}
	return &file, string(b), nil
}

func (r *run) lockBytes() ([]byte, error) {
	root, err := os.OpenRoot(r.in.Project) // a link can't lead out of the project
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(r.set.Wishes.LockPath, os.O_RDONLY|syscall.O_NONBLOCK, 0) // nor a pipe stop it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", r.set.Wishes.LockPath)
	}
	return io.ReadAll(io.LimitReader(f, pylock.MaxSize+1)) // Decode refuses more
}

// asSettled takes what a saved plan or a snapshot has settled. Whoever could write to
// that could have changed it: it has to be what could have been chosen today.
func (r *run) asSettled() hcl.Diagnostics {
	var was packages.Set
	for _, o := range r.in.Settled {
		if o.Addr == packages.SetAddr && o.Decode(&was) != nil {
			was = packages.Set{}
		}
	}
	lock, err := pylock.Decode([]byte(was.Lock.Content))
	why := "they were chosen for others"
	switch {
	case err != nil:
		why = err.Error()
	case lock.Fit == r.fit():
		r.set.Packages, why = r.fromLock(&lock)
	case lock.Fit.Requirements == r.fit().Requirements && was.Python.Version != "":
		why = fmt.Sprintf("they were chosen for Python %s of another machine or time, and this host's is %s", was.Python.Version, r.py.Interpreter.Version)
	}
	if why != "" && r.in.Of != "" {
		return problem(r.firstPlace(), "Packages do not fit", fmt.Sprintf("The packages of %s are not an answer to what it asks for: %s. Install the Python that it was made with, or load it where that is.", r.in.Of, why))
	}
	if why != "" {
		return problem(r.firstPlace(), "Saved plan does not fit", fmt.Sprintf("Its packages are not an answer to what blast.hcl asks for: %s. Plan again.", why))
	}
	r.set.Lock.Content = was.Lock.Content
	return r.allowedFiles()
}

// fromLock takes the pinned wheels of a lock, or says why it is no use: in it is
// less, or something else, than what is asked for.
func (r *run) fromLock(f *pylock.File) ([]packages.Pinned, string) {
	out := []packages.Pinned{}
	there := map[string]pylock.Package{}
	for _, p := range f.Packages {
		if _, twice := there[p.Name]; twice {
			return nil, p.Name + " is in it twice"
		}
		there[p.Name] = p
	}
	for _, p := range f.Packages {
		if p.Unusable != "" {
			return nil, fmt.Sprintf("%s can't be installed (%s)", p.Name, p.Unusable)
		}
		if roots := r.set.Wishes.Roots(p.Name); p.Index != "" && !slices.Contains(roots, p.Index) {
			return nil, fmt.Sprintf("%s is of %s, and has to come from %s", p.Name, p.Index, strings.Join(roots, " or "))
		}
		if p.Marker != "" {
			return nil, p.Name + " is in it under a condition"
		}
		w, ok := bestWheel(p.Wheels, r.py.Tags)
		if !ok {
			return nil, p.Name + " has no wheel for this interpreter"
		}
		for _, d := range p.Dependencies {
			if _, ok := there[d.Name]; !ok {
				return nil, fmt.Sprintf("%s, which %s needs, is not in it", d.Name, p.Name)
			}
		}
		out = append(out, packages.Pinned{Name: p.Name, Version: p.Version, File: w.Name, URL: w.URL, SHA256: w.SHA256, Size: w.Size, Extras: p.Extras, Direct: p.Direct})
	}
	slices.SortFunc(out, func(a, b packages.Pinned) int { return strings.Compare(a.Name, b.Name) })
	return out, r.unanswered(there, out)
}

// unanswered names a line that a lock doesn't answer.
func (r *run) unanswered(there map[string]pylock.Package, pinned []packages.Pinned) string {
	overridden := r.overrides()
	for _, a := range r.asks {
		p, ok := there[a.req.Key()]
		if !ok && !a.Asks() {
			continue
		}
		if o, is := overridden[a.req.Key()]; is {
			a.req.Specifiers = o.req.Specifiers
		}
		v, err := pep440.Parse(p.Version)
		if !ok || err != nil || !a.req.Specifiers.Ranges().Contains(v) {
			return fmt.Sprintf("%s (%s) is not met", orAny(a.Place), a.Text)
		}
		for _, e := range a.req.Extras {
			if a.Asks() && !slices.ContainsFunc(p.Extras, sameName(e)) {
				return fmt.Sprintf("%s (%s) is not met", orAny(a.Place), a.Text)
			}
		}
		if i := slices.IndexFunc(pinned, func(q packages.Pinned) bool { return q.Name == p.Name }); !r.hashFits(p.Name, pinned[i].SHA256) {
			return fmt.Sprintf("its hash of %s is not among those of the requirements", p.Name)
		}
	}
	return ""
}

// hashFits compares with the hashes of the lines, of which those other than
// SHA-256 were compared when the lock was made.
func (r *run) hashFits(name, sha256 string) bool {
	var want []string
	for _, a := range r.asks {
		if a.req.Key() == name {
			for _, h := range a.Hashes {
				want = append(want, strings.ToLower(h))
			}
		}
	}
	other := func(h string) bool { return !strings.HasPrefix(h, "sha256:") }
	return len(want) == 0 || slices.Contains(want, "sha256:"+sha256) || slices.ContainsFunc(want, other)
}

// bestWheel picks the wheel that fits the interpreter best.
func bestWheel(ws []pylock.Wheel, ranking tags.Ranking) (pylock.Wheel, bool) {
	best, found := 0, -1
	for i, w := range ws {
		n, err := tags.ParseWheelName(w.Name)
		if err != nil || w.Unusable != "" {
			continue
		}
		if rank, ok := ranking.Rank(n.Tags); ok && (found < 0 || rank < best) {
			best, found = rank, i
		}
	}
	if found < 0 {
		return pylock.Wheel{}, false
	}
	return ws[found], true
}
