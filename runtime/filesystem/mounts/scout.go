//go:build linux

package mounts

import (
	"context"
	"errors"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/track/fan"
	"blast.example/blast/state"
)

// A scout keeps a survey up to date: the kernel tells it of each name that is made in a
// folder in which a pattern may match, or moved there, by whomever (fanotify(7)). A folder is
// watched before it is read, so what comes meanwhile is seen by one of the two.
type scout struct {
	mounts []filesystem.Mount // of the tree

	mu sync.Mutex // held for a moment, and never while anything of the sandbox is opened
	*survey
	names *fan.Group    // nil: the file system can't tell, and only looking again does
	took  time.Duration // the last look at everything
	stale bool          // something was told that wasn't looked at
	shed  shed
}

// binds are the mounts that show files of the host.
func (c *scout) binds() []filesystem.Mount {
	return slices.DeleteFunc(slices.Clone(c.mounts), func(m filesystem.Mount) bool { return m.Type != filesystem.Bind })
}

// newScout watches the workspace of a tree, and has looked at all of it.
func newScout(ctx context.Context, env state.Env, t filesystem.Tree) (*scout, error) {
	s, err := newSurvey(env, t)
	if err != nil {
		return nil, err
	}
	c := &scout{survey: s, mounts: t.In(env.Project)}
	if s.root == nil {
		return c, nil
	}
	if c.names, err = fan.OpenNames(); err != nil {
		s.close()
		return nil, err
	}
	s.watch = c.mark
	if err := c.again(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *scout) close() {
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.deafen()
		c.survey.close()
	}
}

func (c *scout) deafen() {
	if c.names != nil {
		_ = c.names.Close()
		c.names = nil
	}
}

// fd is what to poll(2), which passes over a negative one.
func (c *scout) fd() int32 {
	if c == nil {
		return -1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		return -1
	}
	return c.names.FD()
}

// deaf reports whether nothing will be told, and how long to wait then before all is
// looked at again.
func (c *scout) deaf() (bool, time.Duration) {
	if c == nil {
		return false, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.root != nil && c.names == nil, max(deafbeat, deafShare*c.took)
}

// of reports whether the scout is for what a tree wants.
func (c *scout) of(env state.Env, t filesystem.Tree) bool {
	return c != nil && reflect.DeepEqual(c.patterns, t.Patterns) && slices.Equal(c.mounts, t.In(env.Project))
}

// cannot are the answers of file systems that can't name what they have; see the ERRORS of
// fanotify_mark(2).
var cannot = []error{unix.EOPNOTSUPP, unix.ENODEV, unix.EXDEV}

func (c *scout) mark(dir *os.File) error {
	if c.names == nil {
		return nil
	}
	err := c.names.MarkArrivals(dir)
	if slices.ContainsFunc(cannot, func(no error) bool { return errors.Is(err, no) }) {
		c.deafen()
		return nil
	}
	return err
}

// again looks at everything.
func (c *scout) again(ctx context.Context) error {
	begun := time.Now()
	c.finds, c.stale = map[string]find{}, true
	if err := c.search(ctx, "."); err != nil {
		return err
	}
	c.stale, c.took = false, time.Since(begun)
	return nil
}

func (c *scout) search(ctx context.Context, rel string) error {
	c.entries, c.links = 0, 0
	return c.walk(ctx, rel)
}

// maxHeard bounds how many times the queue is read in one turn, so that who makes events
// without end doesn't keep the guard from its work.
const maxHeard = 256

// hear reads what the kernel told, and reports whether anything of it matters. What it
// could not look at the next refresh does.
func (c *scout) hear(ctx context.Context) (news bool, err error) {
	if c == nil {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listen(ctx)
}

func (c *scout) listen(ctx context.Context) (news bool, err error) {
	if c.names == nil {
		return false, nil
	}
	defer func() { c.stale = c.stale || err != nil }()
	for range maxHeard {
		es, err := c.names.Read()
		if err != nil {
			return news, err
		}
		if len(es) == 0 {
			return news, nil
		}
		for _, e := range es {
			c.note(e)
			e.Close()
		}
		if slices.ContainsFunc(es, fan.Event.Overflow) {
			return true, c.again(ctx)
		}
		for _, e := range es {
			matters, err := c.arrival(ctx, e)
			if err != nil {
				return news, err
			}
			news = news || matters
		}
	}
	return news, nil
}

// arrival looks at a name that was made or moved.
func (c *scout) arrival(ctx context.Context, e fan.Event) (matters bool, err error) {
	dir, name := e.Dir, e.Name
	if e.Mask&unix.FAN_RENAME != 0 {
		dir, name = e.NewDir, e.NewName
	}
	if name == "" {
		return e.Folder(), nil // it left, with what is mounted in it
	}
	at, ok := c.pathOf(dir)
	if !ok {
		return false, nil
	}
	rel := path.Join(at, name)
	if e.Folder() {
		if below, err := c.look(rel, unix.DT_DIR); err != nil || !below {
			_, found := c.finds[rel]
			return found, err
		}
		return true, c.search(ctx, rel)
	}
	if _, matches := c.matching(rel, false); !matches {
		return false, nil
	}
	st, there, err := c.stat(rel)
	if err != nil || !there {
		return false, err
	}
	_, err = c.look(rel, uint8(st.Mode&unix.S_IFMT>>12))
	_, found := c.finds[rel]
	return found, err
}

// pathOf is where a folder is now, as the kernel says, from the source of the workspace.
func (c *scout) pathOf(h fan.Handle) (rel string, ok bool) {
	f, err := h.Open(c.root)
	if err != nil {
		return "", false // it is gone
	}
	defer func() { _ = f.Close() }()
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil || !path.IsAbs(p) {
		return "", false
	}
	return strings.TrimPrefix(p, "/"), true
}

// refresh brings the survey up to date, and lists what must be mounted.
func (c *scout) refresh(ctx context.Context) ([]want, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.listen(ctx); err != nil {
		return nil, err
	}
	look := c.verify
	if c.stale || c.root != nil && c.names == nil {
		look = func() error { return c.again(ctx) }
	}
	if err := look(); err != nil {
		return nil, err
	}
	for rel, f := range c.finds {
		f.wanted = true
		c.finds[rel] = f
	}
	return c.wants(c.mounts)
}
