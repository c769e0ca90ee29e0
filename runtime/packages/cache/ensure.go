package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/tags"
)

// parallel is how many wheels are fetched at once.
const parallel = 6

// Progress is how far Ensure is.
type Progress struct {
	Done, Wheels int   // wheels that had to be fetched
	Bytes, Size  int64 // fetched and to be fetched; Size is 0 if a lock file doesn't tell
}

// String returns "3 of 12 packages, 1.2 of 4.5 MB".
func (p Progress) String() string {
	const mb = 1e6
	s := fmt.Sprintf("%d of %d packages", p.Done, p.Wheels)
	if p.Size > 0 {
		s += fmt.Sprintf(", %.1f of %.1f MB", float64(p.Bytes)/mb, float64(p.Size)/mb)
	}
	return s
}

// Ensure returns the entries of all wheels, in their order. It fetches those
// that are missing or damaged, several at once, from the hosts in the wheels'
// URLs and from nowhere else. After an error those that came stay.
func (c *Cache) Ensure(ctx context.Context, wheels []Wheel, s Settings) ([]Entry, error) {
	entries := make([]Entry, len(wheels))
	var missing []int
	for i, w := range wheels {
		e, ok, err := c.Find(w.SHA256, s.Target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.File, err)
		}
		if entries[i] = e; !ok {
			missing = append(missing, i)
		} else if err := e.is(w); err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return entries, nil
	}
	d, err := newDownloader(wheels)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.login = s.Login
	f := &fetcher{cache: c, download: d, settings: s, wheels: wheels, entries: entries}
	return entries, f.all(ctx, missing)
}

// is refuses a wheel that came here under another name: who gives two names the
// same hash has one project installed in the place of another, where it is cached.
func (e Entry) is(w Wheel) error {
	name, err := tags.ParseWheelName(w.File)
	if err != nil {
		return err
	}
	v, err := pep440.Parse(e.Version)
	if err != nil || pep508.NormalizeName(e.Name) != name.Name || !v.Equal(name.Version) {
		return fmt.Errorf("%s: the wheel with its SHA-256 is of %s %s", w.File, e.Name, e.Version)
	}
	return nil
}

// fetcher is one run of Ensure.
type fetcher struct {
	cache    *Cache
	download *downloader
	settings Settings
	wheels   []Wheel
	entries  []Entry

	mu       sync.Mutex
	progress Progress
}

// all fetches the wheels with these indexes. The first error ends the others.
func (f *fetcher) all(ctx context.Context, missing []int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.begin(missing)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(parallel, len(missing)) {
		workers.Go(func() {
			for i := range next {
				if err := f.one(ctx, i); err != nil {
					cancel(err) // the first counts
				}
			}
		})
	}
	for _, i := range missing {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

func (f *fetcher) begin(missing []int) {
	f.tell(func(p *Progress) {
		p.Wheels = len(missing)
		for _, i := range missing {
			if f.wheels[i].Size <= 0 {
				p.Size = 0
				return
			}
			p.Size += f.wheels[i].Size
		}
	})
}

func (f *fetcher) tell(change func(*Progress)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.progress)
	if f.settings.Progress != nil {
		f.settings.Progress(f.progress)
	}
}

func (f *fetcher) one(ctx context.Context, i int) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w := f.wheels[i]
	work, err := f.cache.newWorkplace()
	if err != nil {
		return err
	}
	defer work.close()
	file, err := os.OpenFile(filepath.Join(work.dir, "wheel"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("download %s: %w", w.File, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := f.download.fetch(ctx, w, file, func(n int64) { f.tell(func(p *Progress) { p.Bytes += n }) })
	if err != nil {
		return err
	}
	if f.entries[i], err = f.cache.store(ctx, work, file, size, w.File, w.SHA256, f.settings); err != nil {
		return err
	}
	f.tell(func(p *Progress) { p.Done++ })
	return nil
}
