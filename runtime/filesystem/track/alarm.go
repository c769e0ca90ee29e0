package track

import (
	"cmp"
	"time"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/pathglob"
)

// steps is into how many parts a window is cut: what counts is forgotten one part at a
// time. So an alert fires when its bound is reached within the window, and may also when
// it is within a 64th more.
const (
	steps = 64
	slots = steps + 1 // the one that is counted in has just begun
)

// An alarm counts what one alert asks for, in memory that doesn't depend on how much that
// is.
type alarm struct {
	filesystem.Alert
	counts [slots]struct{ accesses, bytes int64 }
	at     int64     // the step that is counted in, since 1970
	quiet  time.Time // until then it has fired already
}

// concerns reports whether an access is one of those that the alert is about. One whose path
// nobody knows may be any.
func (a *alarm) concerns(x access.Access) bool {
	if x.Op != a.Event {
		return false
	}
	return pathglob.Any(a.Paths, x.Path) || x.To != "" && pathglob.Any(a.Paths, x.To) || x.Via != "" && pathglob.Any(a.Paths, x.Via) ||
		x.Op == filesystem.Denied && astray(cmp.Or(x.Via, x.Path))
}

// news reports whether an access counts, where only what is new does.
func (a *alarm) news(x access.Access, first bool, since time.Time) bool {
	return !a.FirstSeen || first && !x.Time.Before(since.Add(a.Learn))
}

// add counts an access and reports whether that was too much, but once in a window.
func (a *alarm) add(x access.Access) (fires bool) {
	a.advance(x.Time)
	here := &a.counts[a.at%slots]
	here.accesses++
	here.bytes += x.Size
	n, bytes := a.sum()
	tooMuch := a.Threshold > 0 && n >= a.Threshold || a.Bytes > 0 && bytes >= a.Bytes
	if !tooMuch || x.Time.Before(a.quiet) {
		return false
	}
	a.quiet = x.Time.Add(a.Window)
	return true
}

// sum is what there was within the window.
func (a *alarm) sum() (accesses, bytes int64) {
	for _, c := range a.counts {
		accesses += c.accesses
		bytes += c.bytes
	}
	return accesses, bytes
}

// advance forgets what is too long ago. Time that went backwards stands still.
func (a *alarm) advance(now time.Time) {
	step := now.UnixNano() / max(int64(a.Window)/steps, 1)
	if step <= a.at {
		return
	}
	for i := max(a.at+1, step-slots+1); i <= step; i++ {
		a.counts[i%slots] = struct{ accesses, bytes int64 }{}
	}
	a.at = step
}
