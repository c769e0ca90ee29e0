package track

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/state"
)

// Bounds of the record: a sandbox decides how much it does. What is over them is in the
// totals, and alerts count it.
const (
	maxSize   = 8 << 20     // bytes of a file of the record; there are two
	maxAlerts = 1 << 20     // bytes of the file of alerts, and of that of refusals; likewise
	toldPer   = 50          // refusals a second, in the long run, that who runs a command hears of
	toldBurst = 500         // likewise, at once
	perSecond = 500         // lines in the long run
	burst     = 20_000      // lines at once
	sameFor   = time.Second // the same by the same process at the same path again within this time is one
	maxRecent = 16_384      // accesses that are remembered for that
	maxPaths  = 8192        // paths that have a history
	maxWord   = 6000        // bytes of a path in JSON: PATH_MAX of linux/limits.h has 4096, and some take more
	maxName   = 512         // bytes of a name that the sandbox chose, likewise; all fits ndjson.MaxLine
)

// A book is the record of one environment. It may be used by several goroutines.
type book struct {
	dir  string
	log  *slog.Logger
	fire func(access.Alert) // told of each alert that fires; must not wait
	quit chan struct{}      // closed by close

	mu      sync.Mutex // held for no longer than a line takes to be written, but where the file is full
	file    *ndjson.File
	alerts  *ndjson.File
	refused *ndjson.File
	alarms  []*alarm
	memory  *memory // nil: no alert is about what is new
	limit   *rate.Limiter
	told    *rate.Limiter // of refusals
	untold  int           // since the last one
	recent  map[same]time.Time
	paths   *history
	totals  access.Totals
	missed  int // since the last line
	readers ndjson.Readers
	closed  bool
}

// same is what makes two accesses one.
type same struct {
	op, path string
	pid      int
}

// record is where it is, in a run folder.
func record(dir string) ndjson.Name {
	return ndjson.Name{Dir: dir, Now: access.File, Old: access.OldFile, MaxSize: maxSize}
}

// openBook goes on with the record of a run folder. What happened since the last one was
// closed, or its daemon was killed, nobody knows: that is a gap.
func openBook(dir string, log *slog.Logger, fire func(access.Alert)) (*book, error) {
	b := &book{
		dir: dir, log: log, fire: fire, quit: make(chan struct{}), limit: rate.NewLimiter(perSecond, burst), told: rate.NewLimiter(toldPer, toldBurst),
		recent: map[same]time.Time{}, paths: newHistory(maxPaths),
		totals: access.Totals{Type: access.TypeTotals, Ops: map[string]uint64{}, Bytes: map[string]int64{}, Fired: map[string]uint64{}},
	}
	gap, err := b.recall()
	if err != nil {
		return nil, err
	}
	if b.file, err = ndjson.Open(record(dir)); err != nil {
		return nil, err
	}
	if b.alerts, err = ndjson.Open(ndjson.Name{Dir: dir, Now: access.AlertFile, Old: access.AlertFile + ".old", MaxSize: maxAlerts}); err != nil {
		_ = b.file.Close()
		return nil, err
	}
	if b.refused, err = ndjson.Open(ndjson.Name{Dir: dir, Now: access.DeniedFile, Old: access.DeniedFile + ".old", MaxSize: maxAlerts}); err != nil {
		_, _ = b.file.Close(), b.alerts.Close()
		return nil, err
	}
	if gap != nil {
		b.note(*gap)
	}
	return b, nil
}

// recall reads what earlier books wrote.
func (b *book) recall() (*access.Gap, error) {
	past, err := ndjson.OpenPast(record(b.dir))
	if err != nil {
		return nil, err
	}
	defer past.Close()
	var stop *access.Stop
	err = past.Each(func(line []byte) error {
		if v, err := access.Decode(line); err == nil {
			if stop, _ = v.(*access.Stop); stop == nil {
				b.remember(v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if b.totals.Since.IsZero() {
		b.totals.Since = now
	}
	last, there := past.Written()
	if !there {
		return nil, nil
	}
	gap := access.Gap{Type: access.TypeGap, To: now}
	if stop != nil {
		gap.From, gap.Reason = stop.Time, stop.Reason
		return &gap, nil
	}
	gap.From, gap.Reason = last, "blastd was killed"
	return &gap, nil
}

// remember takes in one line of the past. Totals stand for all lines before them.
func (b *book) remember(v any) {
	switch v := v.(type) {
	case *access.Totals:
		b.totals = *v
		b.totals.Ops, b.totals.Bytes, b.totals.Fired = orEmpty(v.Ops), orEmpty(v.Bytes), orEmpty(v.Fired)
	case *access.Access:
		if b.totals.Since.IsZero() {
			b.totals.Since = v.Time
		}
		b.totals.Missed += uint64(v.Missed)
		b.count(*v)
		b.paths.add(*v)
	case *access.Alert:
		b.totals.Fired[v.Name]++
	case *access.Gap:
		b.totals.Lost += v.Lost
	}
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// want sets the alerts that count from now on. One that is as it was goes on counting.
func (b *book) want(env state.Env, alerts []filesystem.Alert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.recollect(env, alerts); err != nil {
		return err
	}
	was := b.alarms
	b.alarms = nil
	for _, a := range alerts {
		next := &alarm{Alert: a}
		for _, old := range was {
			if equal(old.Alert, a) {
				next = old
			}
		}
		b.alarms = append(b.alarms, next)
	}
	return nil
}

// recollect opens the memory of folders if an alert asks for it. b.mu is held.
func (b *book) recollect(env state.Env, alerts []filesystem.Alert) error {
	if !slices.ContainsFunc(alerts, func(a filesystem.Alert) bool { return a.FirstSeen }) {
		return b.dropMemory()
	}
	if b.memory != nil {
		return nil
	}
	now := time.Now()
	m, forgot, err := openMemory(env, now)
	if err != nil {
		return err
	}
	b.memory = m
	if forgot {
		b.note(access.Gap{Type: access.TypeGap, From: now, Reason: "the memory of folders can't be read, and begins anew: alerts with first_seen learn again"})
	}
	return nil
}

func (b *book) dropMemory() error {
	m := b.memory
	if m == nil {
		return nil
	}
	b.memory = nil
	return m.close()
}

func equal(a, b filesystem.Alert) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// add notes an access, unless the same was just now.
func (b *book) add(x access.Access) {
	x.Type, x.Path, x.To = access.TypeAccess, text(x.Path, maxWord), text(x.To, maxWord)
	x.Command, x.Script = text(x.Command, maxName), text(x.Script, maxName)
	if x.Op == filesystem.Denied { // it has three
		x.To, x.Via = text(x.To, maxWord/3), text(x.Via, maxWord/3)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.repeated(x) {
		return
	}
	b.count(x)
	b.paths.add(x)
	if !b.limit.AllowN(x.Time, 1) {
		b.missed++
		b.totals.Missed++
	} else {
		x.Missed, b.missed = b.missed, 0
		b.note(x)
	}
	if x.Op == filesystem.Denied {
		b.refuse(x)
	}
	first, since := b.new(x)
	for _, a := range b.alarms {
		if a.concerns(x) && a.news(x, first, since) && a.add(x) {
			n, bytes := a.sum()
			b.fires(a, access.Alert{Time: x.Time, Count: n, Bytes: bytes, Path: x.Path, Process: x.Process})
		}
	}
}

// refuse puts a refusal where who runs a command finds it. b.mu is held.
func (b *book) refuse(x access.Access) {
	if !b.told.AllowN(x.Time, 1) {
		b.untold++
		return
	}
	x.Missed, b.untold = b.untold, 0
	if line, err := json.Marshal(x); err == nil {
		b.refused.Append(line)
	}
	if b.refused.Full() {
		_ = b.refused.Turn(nil)
	}
}

// new remembers in which folder an access was. b.mu is held.
func (b *book) new(x access.Access) (first bool, since time.Time) {
	if b.memory == nil {
		return false, time.Time{}
	}
	first = b.memory.first(x)
	if b.memory.nowFull() {
		b.note(access.Gap{Type: access.TypeGap, From: x.Time, Reason: fmt.Sprintf("more than %d folders were seen, and no more are remembered: what happens in others is new each time", maxSeen)})
	}
	return first, b.memory.since
}

func (b *book) count(x access.Access) {
	b.totals.Ops[x.Op]++
	if x.Size > 0 {
		b.totals.Bytes[x.Op] += x.Size
	}
}

// fires notes that an alert did. b.mu is held.
func (b *book) fires(a *alarm, f access.Alert) {
	f.Type, f.Name, f.Event, f.Action, f.Window = access.TypeAlert, a.Name, a.Event, a.Action, a.Window.Milliseconds()
	if f.Bytes == 0 || a.Bytes == 0 {
		f.Bytes = 0
	}
	b.totals.Fired[a.Name]++
	b.note(f)
	b.tell(f)
	if b.fire != nil {
		b.fire(f)
	}
}

// tell puts an alert where who runs a command finds it. b.mu is held.
func (b *book) tell(f access.Alert) {
	line, err := json.Marshal(f)
	if err != nil {
		return
	}
	b.alerts.Append(line)
	if b.alerts.Full() {
		_ = b.alerts.Turn(nil)
	}
}

// failed says that the action of an alert was not done.
func (b *book) failed(f access.Alert, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	f.Time, f.Failed = time.Now(), why.Error()
	b.note(f)
	b.tell(f)
}

// gap notes that something is not known. The alerts on the events that it may have hidden
// can't be trusted to have seen them: if it was the sandbox that did too much at once,
// those that stop it fire.
func (b *book) gap(g access.Gap, own bool, events ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	g.Type = access.TypeGap
	b.totals.Lost += g.Lost
	b.note(g)
	for _, a := range b.alarms {
		for _, e := range events {
			if !own || a.Event != e || a.Action == filesystem.Log || g.To.Before(a.quiet) {
				continue
			}
			a.quiet = g.To.Add(a.Window)
			n, bytes := a.sum()
			b.fires(a, access.Alert{Time: g.To, Count: n, Bytes: bytes, Overflow: true})
		}
	}
}

// watched notes how many folders are watched one by one.
func (b *book) watched(folders int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.totals.Folders = folders
}

// repeated remembers an access and reports whether it was there already. b.mu is held.
func (b *book) repeated(x access.Access) bool {
	if len(b.recent) >= maxRecent {
		maps.DeleteFunc(b.recent, func(_ same, t time.Time) bool { return x.Time.Sub(t) >= sameFor })
		if len(b.recent) >= maxRecent {
			clear(b.recent)
		}
	}
	k := same{x.Op + x.Tried, x.Path, x.HostPID}
	t, ok := b.recent[k]
	if ok && x.Time.Sub(t) < sameFor {
		return true
	}
	b.recent[k] = x.Time
	return false
}

// note writes a line, and shows it to readers. b.mu is held, or nobody else has b.
func (b *book) note(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		return
	}
	if !b.file.Append(line) {
		b.totals.Dropped++
	}
	b.readers.Publish(line)
	if b.file.Full() {
		if err := b.file.Turn([]any{b.totals}); err != nil {
			b.log.Error("turn the record of accesses", "err", err)
		}
	}
}

// beat says that all until now is on record: what comes after a kill is a gap from here.
func (b *book) beat() {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(b.dir, access.File), now, now)
}

// close ends the record for a reason, which the next one tells.
func (b *book) close(reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	for _, v := range []any{b.totals, access.Stop{Type: access.TypeStop, Time: time.Now(), Reason: reason}} {
		if line, err := json.Marshal(v); err == nil {
			b.file.Append(line)
		}
	}
	b.closed = true
	close(b.quit)
	return errors.Join(b.file.Close(), b.alerts.Close(), b.refused.Close(), b.dropMemory())
}
