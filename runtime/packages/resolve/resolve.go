// Package resolve settles which packages an environment gets: the lock if it
// still answers what is asked, else the index and the solver.
package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/pylock"
	"blast.example/blast/runtime/packages/solver"
)

// Resolver implements kinds.Resolver for packages.set. The zero value caches in
// the person's cache folder.
type Resolver struct{}

var _ kinds.Resolver = Resolver{}

// maxLock bounds a lock file: thousands of packages are some MiB.
const maxLock = 32 << 20

// Resolve implements kinds.Resolver.
func (Resolver) Resolve(ctx context.Context, in kinds.ResolveInput) ([]plan.Object, hcl.Diagnostics) {
	out := slices.Clone(in.Objects)
	for i, o := range out {
		if o.Addr != packages.SetAddr {
			continue
		}
		var set packages.Set
		if err := o.Decode(&set); err != nil {
			return nil, problem(nil, "Can't resolve packages", err.Error())
		}
		r := &run{ctx: ctx, in: in, set: &set, src: o.Src}
		if diags := r.settle(); diags.HasErrors() {
			return nil, diags
		}
		out[i] = plan.NewObject(o.Addr, set, o.Src)
	}
	return out, nil
}

// run is one resolution.
type run struct {
	ctx context.Context
	in  kinds.ResolveInput
	set *packages.Set
	src map[string]string
	py  *interpreter.Found
}

func (r *run) settle() hcl.Diagnostics {
	var err error
	if r.py, err = interpreter.Find(r.ctx, r.set.Wishes.Version); err != nil {
		return problem(r.place("python.version"), "No Python for this environment", err.Error())
	}
	r.set.Python = r.py.Interpreter
	r.set.Lock.Path = filepath.Join(r.in.Project, r.set.Wishes.LockPath)
	lock, text, diags := r.readLock()
	if diags.HasErrors() {
		return diags
	}
	fit := r.fit()
	if lock != nil && !r.in.Upgrade && lock.Fit == fit {
		if pinned, ok := r.fromLock(lock); ok {
			r.set.Packages, r.set.Lock.Content = pinned, text
			return r.allowed()
		}
	}
	if len(r.set.Wishes.Requirements) == 0 {
		r.set.Packages = []packages.Pinned{}
		r.set.Lock.Content = string(pylock.Encode(pylock.File{RequiresPython: r.requiresPython(), Fit: fit}))
		return nil
	}
	if diags := r.allowedIndexes(); diags.HasErrors() {
		return diags
	}
	if diags := r.solve(lock, fit); diags.HasErrors() {
		return diags
	}
	return r.allowed()
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
	_ = json.NewEncoder(h).Encode(reqs)
	_ = json.NewEncoder(h).Encode(r.set.Wishes.Index)
	return pylock.Fit{Requirements: hex.EncodeToString(h.Sum(nil)[:16]), Interpreter: r.py.Interpreter.Tags}
}

// readLock reads the lock file, if there is one.
func (r *run) readLock() (*pylock.File, string, hcl.Diagnostics) {
	name := r.set.Wishes.LockPath
	root, err := os.OpenRoot(r.in.Project) // a link can't lead out of the project
	if err != nil {
		return nil, "", problem(nil, "Can't read lock file", err.Error())
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", problem(nil, "Can't read lock file", err.Error())
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err == nil && len(b) > maxLock {
		err = errors.New("larger than 32 MiB")
	}
	if err != nil {
		return nil, "", problem(nil, "Can't read lock file", fmt.Sprintf("%s: %v", name, err))
	}
	file, err := pylock.Decode(b)
	if err != nil {
		return nil, "", problem(&hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "Invalid lock file",
			fmt.Sprintf("%s: %v. Restore it from version control, or remove it to resolve anew.", name, err))
	}
	return &file, string(b), nil
}

// fromLock takes the pinned wheels of a lock. A lock that has none for this
// interpreter is no use.
func (r *run) fromLock(f *pylock.File) ([]packages.Pinned, bool) {
	out := []packages.Pinned{}
	for _, p := range f.Packages {
		w, ok := bestWheel(p.Wheels, r.py.Tags)
		if !ok || p.Unusable != "" {
			return nil, false
		}
		out = append(out, packages.Pinned{Name: p.Name, Version: p.Version, File: w.Name, URL: w.URL, SHA256: w.SHA256, Size: w.Size, Extras: p.Extras, Direct: p.Direct})
	}
	slices.SortFunc(out, func(a, b packages.Pinned) int { return strings.Compare(a.Name, b.Name) })
	return out, true
}

// solve asks the index and the solver.
func (r *run) solve(lock *pylock.File, fit pylock.Fit) hcl.Diagnostics {
	cache, err := os.UserCacheDir()
	c := &index.Client{Indexes: r.set.Wishes.Index, Allow: r.allow}
	if err == nil {
		c.Cache = &index.Cache{Dir: filepath.Join(cache, "blast", "index")}
	}
	u, diags := newUniverse(r, c, lock)
	if diags.HasErrors() {
		return diags
	}
	chosen, err := solver.Solve(r.ctx, u.root, u)
	var none *solver.Conflict
	if errors.As(err, &none) {
		return problem(r.firstPlace(), "No versions fit together", none.Error())
	}
	if err != nil {
		return problem(r.firstPlace(), "Can't resolve packages", explain(err))
	}
	file := u.lockFile(chosen, fit)
	pinned, ok := r.fromLock(&file)
	if !ok {
		return problem(r.firstPlace(), "Can't resolve packages", "a chosen project has no wheel for this interpreter")
	}
	r.set.Packages, r.set.Lock.Content = pinned, string(pylock.Encode(file))
	return nil
}

// explain adds the fix to errors of the network.
func explain(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) && ue.Timeout() {
		return err.Error() + ". The index does not answer in time: check the network, or try again."
	}
	return err.Error()
}

// denied is a host that no rule names.
type denied struct {
	host string
	port uint16
}

func (d denied) Error() string {
	return fmt.Sprintf("no egress rule allows %s:%d while installing", d.host, d.port)
}

// Denied marks the error as final.
func (denied) Denied() {}

// allow asks the environment's own policy: blast itself obeys it.
func (r *run) allow(host string, port uint16) error {
	for _, o := range r.in.Objects {
		var p network.Policy
		if o.Addr != network.PolicyAddr || o.Decode(&p) != nil {
			continue
		}
		if p.Default == "audit" || slices.ContainsFunc(p.Egress, func(e network.Egress) bool { return covers(e, host, port) }) {
			return nil
		}
	}
	return denied{host, port}
}

func covers(e network.Egress, host string, port uint16) bool {
	if e.Protocol != "tcp" || !slices.Contains(e.During, "apply") || !slices.Contains(e.Ports, port) {
		return false
	}
	if day, err := time.ParseInLocation(time.DateOnly, e.Expires, time.Local); err == nil && !time.Now().Before(day.AddDate(0, 0, 1)) {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return slices.ContainsFunc(e.CIDRs, func(c string) bool {
			p, err := netip.ParsePrefix(c)
			return err == nil && p.Contains(addr.Unmap())
		})
	}
	return slices.ContainsFunc(e.Domains, func(d string) bool {
		if suffix, wild := strings.CutPrefix(d, "*"); wild {
			return strings.HasSuffix(host, suffix) && len(host) > len(suffix)
		}
		return d == host
	})
}

func (r *run) allowedIndexes() hcl.Diagnostics {
	return r.allowedURLs(r.set.Wishes.Index)
}

// allowed checks where the wheels come from: a lock may name any host.
func (r *run) allowed() hcl.Diagnostics {
	urls := make([]string, 0, len(r.set.Packages))
	for _, p := range r.set.Packages {
		urls = append(urls, p.URL)
	}
	return r.allowedURLs(urls)
}

func (r *run) allowedURLs(urls []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	said := map[string]bool{}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return problem(r.place("python.index"), "Invalid URL", err.Error())
		}
		host, port, err := index.HostPort(u)
		if err != nil {
			return problem(r.place("python.index"), "Invalid URL", err.Error())
		}
		if r.allow(host, port) == nil || said[fmt.Sprint(host, port)] {
			continue
		}
		said[fmt.Sprint(host, port)] = true
		where := fmt.Sprintf("domains = [%q]", host)
		if a, err := netip.ParseAddr(host); err == nil {
			where = fmt.Sprintf("cidrs  = [%q]", netip.PrefixFrom(a, a.BitLen()))
		}
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Subject: r.policyPlace(), Summary: "Installing needs a host that no rule allows",
			Detail: fmt.Sprintf("Packages come from %s:%d, and no egress rule names it. Add to the network block:\n\n  egress \"registry\" {\n    %s\n    ports  = [%d]\n    during = [\"apply\"]\n  }", host, port, where, port)})
	}
	return diags
}

func (r *run) policyPlace() *hcl.Range {
	for _, o := range r.in.Objects {
		if o.Addr == network.PolicyAddr {
			return rangeOf(o.Src[""])
		}
	}
	return nil
}

func (r *run) place(item string) *hcl.Range { return rangeOf(plan.PlaceOf(r.src, item)) }

func (r *run) firstPlace() *hcl.Range {
	for _, q := range r.set.Wishes.Requirements {
		if rng := rangeOf(q.Place); rng != nil {
			return rng
		}
	}
	return r.place("")
}

func rangeOf(place string) *hcl.Range {
	i := strings.LastIndexByte(place, ':')
	if i < 0 {
		return nil
	}
	n, err := strconv.Atoi(place[i+1:])
	if err != nil {
		return nil
	}
	pos := hcl.Pos{Line: n, Column: 1}
	return &hcl.Range{Filename: place[:i], Start: pos, End: pos}
}

func problem(at *hcl.Range, summary, detail string) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: at}}
}
