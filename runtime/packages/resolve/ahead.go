package resolve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/solver"
)

const (
	// maxProjects is how many projects one resolution may look at: more is an
	// index that makes them up.
	maxProjects = 5_000
	// atOnce is how many answers are waited for at the same time.
	atOnce = 16
)

// ahead fetches what the solver will probably ask for next, many at the same
// time, and each once. What it fetched in vain changes nothing: not even an
// error matters unless the solver asks.
type ahead struct {
	ctx    context.Context
	cancel context.CancelFunc
	client *index.Client
	sort   func(name, from string, files []index.File) *project
	slots  chan struct{}
	wg     sync.WaitGroup

	mu        sync.Mutex
	projects  map[string]*promise[*project]
	metadatas map[string]*promise[metadata] // by file name
}

// promise is a value that is being fetched.
type promise[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func newAhead(ctx context.Context, c *index.Client, sort func(name, from string, files []index.File) *project) *ahead {
	a := &ahead{client: c, sort: sort, slots: make(chan struct{}, atOnce), projects: map[string]*promise[*project]{}, metadatas: map[string]*promise[metadata]{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// close ends everything that is still being fetched, and waits for it.
func (a *ahead) close() {
	a.cancel()
	a.wg.Wait()
}

// start fetches the projects of dependencies, and the metadata of the versions
// that will probably be chosen.
func (a *ahead) start(deps []solver.Dependency) {
	for _, d := range deps {
		if name, extra := splitExtra(d.Package); extra == "" && !d.Limit {
			a.project1(name, d.Set)
		}
	}
}

func (a *ahead) project(name string) (*project, error) {
	return a.project1(name, pep440.All()).wait(a.ctx)
}

func (a *ahead) metadata(f index.File) (metadata, error) {
	return a.metadata1(f).wait(a.ctx)
}

var errTooMany = errors.New("the index makes up projects")

func (a *ahead) project1(name string, set pep440.Ranges) *promise[*project] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.projects[name]; p != nil {
		return p
	}
	if len(a.projects) >= maxProjects {
		p := &promise[*project]{done: make(chan struct{}), err: fmt.Errorf("more than %d projects need each other, which no real project does: %w. Check the index in the python block", maxProjects, errTooMany)}
		close(p.done)
		return p
	}
	p := promised(a, func() (*project, error) {
		files, from, err := a.client.Files(a.ctx, name)
		if err != nil {
			return nil, err
		}
		return a.sort(name, from, files), nil
	}, func(p *project) {
		for _, c := range p.candidates {
			if c.Unusable == "" && set.Contains(c.Version) {
				a.metadata1(p.releases[key(c.Version)].file)
				return
			}
		}
	})
	a.projects[name] = p
	return p
}

func (a *ahead) metadata1(f index.File) *promise[metadata] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.metadatas[f.Name]; p != nil {
		return p
	}
	p := promised(a, func() (metadata, error) {
		b, err := a.client.Metadata(a.ctx, f)
		if err != nil {
			return metadata{}, err
		}
		m, err := parseMetadata(b)
		if err != nil {
			return m, solver.UnusableError(err.Error())
		}
		return m, nil
	}, nil)
	a.metadatas[f.Name] = p
	return p
}

// promised fetches a value, then goes on with it.
func promised[T any](a *ahead, fetch func() (T, error), then func(T)) *promise[T] {
	p := &promise[T]{done: make(chan struct{})}
	a.wg.Go(func() {
		defer close(p.done)
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		case <-a.ctx.Done():
			p.err = a.ctx.Err()
			return
		}
		if p.value, p.err = fetch(); p.err == nil && then != nil {
			then(p.value)
		}
	})
	return p
}

func (p *promise[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-p.done:
		return p.value, p.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
