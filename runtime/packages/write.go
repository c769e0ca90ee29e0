package packages

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/pep508"
)

var (
	_ kinds.Porter    = Words{}
	_ kinds.Completer = Words{}
)

// Leave implements kinds.Porter. The interpreter is the host's.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) {
	var out []plan.Object
	for _, o := range objs {
		var set Set
		if err := o.Decode(&set); err != nil {
			return nil, err
		}
		set.Python.Path, set.Python.Tags, set.Lock.Path, set.Incarnation, set.Drift = "", "", "", 0, nil
		out = append(out, o.With(set))
	}
	return out, nil
}

// Write implements kinds.Porter. What is asked for is not written: a manifest may have
// another content where it is read, and has hashes.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	set, err := leftSet(objs)
	if err != nil {
		return err
	}
	b := to.Block("python")
	b.Text("version", set.Wishes.Version)
	b.Texts("index", set.Wishes.Index)
	for _, l := range set.Wishes.Logins {
		lb := b.Block("login", l.Host)
		lb.Text("user", l.User)
		lb.Text("password", l.Password)
	}
	for _, r := range set.Wishes.Registries {
		rb := b.Block("registry", r.Name)
		rb.Text("url", r.URL)
		rb.Texts("packages", r.Packages)
	}
	b.Text("lock", set.Wishes.LockPath)
	if s := set.Wishes.Cooldown; s > 0 {
		b.Duration("cooldown", time.Duration(s)*time.Second)
	}
	return nil
}

// Complete implements kinds.Completer: it is asked for what was asked for then.
func (Words) Complete(objs, left []plan.Object) ([]plan.Object, error) {
	was, err := leftSet(left)
	if err != nil {
		return nil, err
	}
	w := was.Wishes
	for i, q := range w.Requirements {
		w.Requirements[i].Place = ""
		if _, err := pep508.Parse(q.Text); err != nil {
			return nil, fmt.Errorf("requirement %q: %w", q.Text, err)
		}
	}
	if _, err := pep440.ParseSpecifiers(w.RequiresPython); err != nil && w.RequiresPython != "" {
		return nil, fmt.Errorf("requires-python %q: %w", w.RequiresPython, err)
	}
	if m := w.Manifest; m != "" && (!filepath.IsLocal(m) || strings.ContainsFunc(m, unicode.IsControl)) {
		return nil, fmt.Errorf("manifest %q is no file of a project", m)
	}
	var out []plan.Object
	for _, o := range objs {
		var set Set
		if o.Addr == SetAddr && o.Decode(&set) == nil {
			set.Wishes.Requirements, set.Wishes.RequiresPython, set.Wishes.Manifest = w.Requirements, w.RequiresPython, w.Manifest
			o = o.With(set)
		}
		out = append(out, o)
	}
	return out, nil
}

// leftSet is the one object of this kind among others.
func leftSet(objs []plan.Object) (set Set, err error) {
	for _, o := range objs {
		switch {
		case o.Addr == SetAddr:
			if err := kinds.Strictly(o, &set); err != nil {
				return set, err
			}
		case o.Kind() == "packages":
			return set, fmt.Errorf("%s: no such object", o.Addr)
		}
	}
	return set, nil
}
