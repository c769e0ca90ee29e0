// Package resolve settles which packages an environment gets: the lock if it
// still answers what is asked, else the index and the solver.
package resolve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/cachedir"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/login"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/solver"
)

// Resolver implements kinds.Resolver for packages.set. The zero value looks for
// an interpreter on the host and caches in the person's cache folder.
type Resolver struct {
	// Find finds the interpreter for a version, as interpreter.Find; nil is that.
	Find func(ctx context.Context, wish string) (*interpreter.Found, error)
	// CacheDir is where answers of indexes are kept; "" is this user's cache folder.
	CacheDir string
	// Now is the time, by which rules expire; nil is time.Now.
	Now func() time.Time
	// Client is how indexes are talked to; Indexes, Allow and Cache are set by
	// the Resolver. Nil is the usual patience.
	Client func() *index.Client
}

var _ kinds.Resolver = Resolver{}

// Resolve implements kinds.Resolver.
func (rv Resolver) Resolve(ctx context.Context, in kinds.ResolveInput) ([]plan.Object, hcl.Diagnostics) {
	out := slices.Clone(in.Objects)
	var diags hcl.Diagnostics
	for i, o := range out {
		if o.Addr != packages.SetAddr {
			continue
		}
		r, more := rv.run(ctx, in, o)
		diags = append(diags, more...)
		if !diags.HasErrors() {
			diags = append(diags, r.settle()...)
		}
		if diags.HasErrors() {
			return nil, diags
		}
		out[i] = o.With(*r.set)
	}
	return out, diags
}

// run prepares the resolution of one set.
func (rv Resolver) run(ctx context.Context, in kinds.ResolveInput, o plan.Object) (*run, hcl.Diagnostics) {
	r := &run{
		Resolver: rv.complete(), ctx: ctx, in: in, set: &packages.Set{}, src: o.Src,
		network: sync.OnceValue(func() []network.Policy { return policies(in.Objects) }),
	}
	if err := o.Decode(r.set); err != nil {
		return nil, problem(nil, "Can't resolve packages", err.Error())
	}
	return r, nil
}

// complete fills in what isn't set.
func (rv Resolver) complete() Resolver {
	if rv.Find == nil {
		rv.Find = interpreter.Finder{Cache: cachedir.Path("interpreters")}.Find
	}
	if rv.Now == nil {
		rv.Now = time.Now
	}
	if rv.Client == nil {
		rv.Client = func() *index.Client { return &index.Client{} }
	}
	if rv.CacheDir == "" {
		rv.CacheDir = cachedir.Path("index") // without one everything is only slower
	}
	return rv
}

// run is one resolution.
type run struct {
	Resolver
	ctx  context.Context
	in   kinds.ResolveInput
	set  *packages.Set
	src  map[string]string
	py   *interpreter.Found
	asks []ask // what the requirements say for this interpreter

	logins login.Logins // found when the index is to be asked

	network func() []network.Policy // read once: a policy is long, and each address is looked up in it
}

// ready finds out what is asked for, and for which interpreter.
func (r *run) ready() hcl.Diagnostics {
	if diags := r.findPython(); diags.HasErrors() {
		return diags
	}
	r.set.Lock.Path = filepath.Join(r.in.Project, r.set.Wishes.LockPath)
	return r.readAsks()
}

func (r *run) settle() hcl.Diagnostics {
	if diags := r.ready(); diags.HasErrors() {
		return diags
	}
	if r.in.Lock != nil {
		b, _ := r.lockBytes() // what can't be read is said below
		r.in.Lock(b)
	}
	if r.in.Settled != nil {
		return r.asSettled()
	}
	lock, text, diags := r.readLock()
	if diags.HasErrors() {
		return diags
	}
	if lock != nil && !r.in.Upgrade.Any() && lock.Fit == r.fit() {
		pinned, why := r.fromLock(lock)
		if why == "" {
			r.set.Packages, r.set.Lock.Content = pinned, text
			return r.allowedFiles()
		}
		diags = warning(r.lockPlace(), "Lock file does not hold what it says",
			fmt.Sprintf("%s was made for these requirements, and %s: it was changed by hand or by a merge. Versions are chosen anew, those of the lock first.", r.set.Wishes.LockPath, why))
	}
	return append(diags, r.anew(lock)...)
}

// findPython takes an interpreter by the python block. Without a version there,
// what the manifest requires chooses it.
func (r *run) findPython() hcl.Diagnostics {
	const summary = "No Python for this environment"
	w := r.set.Wishes
	var err error
	if r.py, err = r.Find(r.ctx, cmp.Or(w.Version, w.RequiresPython)); err != nil {
		asked := ""
		if w.Version == "" && w.RequiresPython != "" {
			asked = w.Manifest + " has requires-python: "
		}
		return problem(r.place("python.version"), summary, asked+err.Error()+".")
	}
	if w.RequiresPython != "" && !fitsPython(w.RequiresPython, r.py) {
		return problem(r.place("python.version"), summary, fmt.Sprintf("%s has requires-python = %q, and version = %q means Python %s here. Change one of the two.",
			w.Manifest, w.RequiresPython, w.Version, r.py.Interpreter.Version))
	}
	r.set.Python = r.py.Interpreter
	return nil
}

// anew chooses versions.
func (r *run) anew(lock *pylock.File) hcl.Diagnostics {
	if diags := r.knownUpgrades(lock); diags.HasErrors() {
		return diags
	}
	if !slices.ContainsFunc(r.asks, func(a ask) bool { return a.Asks() }) {
		r.set.Packages = []packages.Pinned{}
		r.set.Lock.Content = string(pylock.Encode(pylock.File{RequiresPython: r.requiresPython(), Fit: r.fit()}))
		return nil
	}
	if diags := r.allowedURLs(r.set.Wishes.Indexes()); diags.HasErrors() {
		return diags
	}
	diags := r.solve(lock)
	if diags.HasErrors() {
		return diags
	}
	return append(diags, r.allowedFiles()...)
}

// solve asks the index and the solver.
func (r *run) solve(lock *pylock.File) hcl.Diagnostics {
	if diags := r.logIn(); diags.HasErrors() {
		return diags
	}
	c := r.client()
	defer c.Close()
	u := newUniverse(r, c, r.preferred(lock))
	defer u.close()
	chosen, err := solver.Solve(r.ctx, u.root(), u)
	if err != nil {
		return r.explain(err)
	}
	file, err := u.lockFile(chosen)
	if err != nil {
		return r.explain(err)
	}
	pinned, why := r.fromLock(&file)
	if why != "" {
		return problem(r.firstPlace(), "Can't resolve packages", fmt.Sprintf("What was chosen can't be locked: %s.", why))
	}
	r.set.Packages, r.set.Lock.Content = pinned, string(pylock.Encode(file))
	return u.unknownExtras(chosen)
}

// logIn finds what the indexes want to hear.
func (r *run) logIn() (diags hcl.Diagnostics) {
	var err error
	if r.logins, err = login.Find(r.set.Wishes.Logins, r.in.Env); err != nil {
		var at *login.Error
		place := ""
		if errors.As(err, &at) {
			place = "python.login." + at.Host + ".password"
		}
		return problem(r.place(place), "No password for an index", strings.TrimSuffix(err.Error(), ".")+".")
	}
	return nil
}

// client talks to the indexes. Whoever asks for one closes it.
func (r *run) client() *index.Client {
	c := r.Client()
	c.Roots, c.Allow, c.Login = r.set.Wishes.Roots, r.allow, r.logins.Apply
	if r.CacheDir != "" {
		c.Cache = &index.Cache{Dir: r.CacheDir}
	}
	return c
}

// explain turns what went wrong into a diagnostic, at the line that caused it.
func (r *run) explain(err error) hcl.Diagnostics {
	var none *solver.ConflictError
	var no denied
	switch {
	case errors.As(err, &none):
		return problem(r.placeOfAsked(none), "No versions fit together", none.Error()+r.advice(none))
	case errors.As(err, &no):
		return r.demand([]target{no.target})
	case errors.Is(err, context.Canceled):
		return outside(nil, "It was cancelled; nothing was changed.")
	}
	return outside(r.firstPlace(), err.Error())
}

func (r *run) placeOfAsked(c *solver.ConflictError) *hcl.Range {
	for _, d := range c.Asked {
		if rng := block.RangeOf(d.Place); rng != nil {
			return rng
		}
	}
	return r.firstPlace()
}

func (r *run) requiresPython() string {
	return fmt.Sprintf("==%s.*", r.py.Env.PythonVersion)
}

// fit is what a lock must have been made for.
func (r *run) fit() pylock.Fit {
	h := sha256.New()
	reqs := slices.Clone(r.set.Wishes.Requirements)
	for i := range reqs {
		reqs[i].Place = ""
	}
	_ = json.NewEncoder(h).Encode(reqs) // texts always encode, and a hash takes every write
	_ = json.NewEncoder(h).Encode(r.set.Wishes.Index)
	if rs := r.set.Wishes.Registries; len(rs) > 0 {
		_ = json.NewEncoder(h).Encode(rs)
	}
	if c := r.set.Wishes.Cooldown; c > 0 {
		_ = json.NewEncoder(h).Encode(c)
	}
	return pylock.Fit{Requirements: hex.EncodeToString(h.Sum(nil)[:16]), Interpreter: r.py.Interpreter.Tags}
}

func (r *run) tell(format string, args ...any) {
	if r.in.Progress != nil {
		r.in.Progress(fmt.Sprintf(format, args...))
	}
}

func (r *run) place(item string) *hcl.Range { return block.RangeOf(plan.PlaceOf(r.src, item)) }

func (r *run) firstPlace() *hcl.Range {
	for _, q := range r.set.Wishes.Requirements {
		if rng := block.RangeOf(q.Place); rng != nil {
			return rng
		}
	}
	return r.place("")
}

func orAny(place string) string { return cmp.Or(place, "the project") }

// outside is a failure of the index or of the way there.
func outside(at *hcl.Range, detail string) hcl.Diagnostics {
	diags := problem(at, "Can't resolve packages", detail)
	diags[0].Extra = kinds.Outside{}
	return diags
}
