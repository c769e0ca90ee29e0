package packages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages/login"
	"blast.example/blast/runtime/packages/pep508"
)

// Describe implements kinds.Words. A package is code and not access: what it may
// do, the other blocks say. So nothing here widens or narrows.
func (Words) Describe(c plan.Change) plan.Description {
	var from, to Set
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	d := plan.Description{Summary: to.summary(), Items: wording.Drift(from.Drift)}
	if !hasTo {
		d.Summary = from.summary()
	}
	if !hasFrom || !hasTo {
		return d
	}
	d.Items = append(d.Items, pythonItems(from, to)...)
	d.Items = append(d.Items, newReasons(from, to).tell(pinnedItems(from.Packages, to.Packages))...)
	if from.Incarnation != to.Incarnation {
		d.Items = append(d.Items, plan.Item{Name: "python", Action: plan.Replace, Cause: plan.ByRequest, Because: "installed anew"})
	}
	if len(d.Items) == 0 {
		d.Items = wishItems(from.Wishes, to.Wishes)
	}
	if len(d.Items) == 0 { // the project was moved
		d.Items = wording.Changed("python.lock", from.Lock.Path, to.Lock.Path, plan.Same)
	}
	return d
}

func (i Interpreter) text() string {
	if i.Version == "" {
		return ""
	}
	return i.Version + " (host)"
}

func pinnedItems(from, to []Pinned) []plan.Item {
	was := map[string]Pinned{}
	for _, p := range from {
		was[p.Name] = p
	}
	var items []plan.Item
	for _, p := range to {
		old, there := was[p.Name]
		delete(was, p.Name)
		if there && old.Version == p.Version && old.SHA256 == p.SHA256 && slices.Equal(old.Extras, p.Extras) {
			continue
		}
		it := plan.Item{Name: "package." + p.Name, Action: wording.Action(there, true), After: p.text()}
		if there {
			it.Before = old.text()
		}
		items = append(items, it)
	}
	for _, p := range from {
		if _, gone := was[p.Name]; gone {
			items = append(items, plan.Item{Name: "package." + p.Name, Action: plan.Delete, Before: p.text()})
		}
	}
	return items
}

// pythonItems tell of another interpreter. Where the same one was asked for, it is the
// host's that was updated.
func pythonItems(from, to Set) []plan.Item {
	items := wording.Changed("python", from.Python.text(), to.Python.text(), plan.Same)
	for i := range items {
		if from.Wishes.Version == to.Wishes.Version && from.Wishes.RequiresPython == to.Wishes.RequiresPython {
			items[i].Cause, items[i].Because = plan.ByPackage, "the host has another Python"
		}
	}
	return items
}

func (p Pinned) text() string {
	if len(p.Extras) == 0 {
		return p.Version
	}
	return fmt.Sprintf("%s [%s]", p.Version, strings.Join(p.Extras, ","))
}

// wishItems tell what is asked for otherwise, though what is installed stays.
func wishItems(from, to Wishes) []plan.Item {
	items := wording.Changed("python.version", from.Version, to.Version, plan.Same)
	items = append(items, wording.Changed("python.index", strings.Join(from.Index, ", "), strings.Join(to.Index, ", "), plan.Same)...)
	items = append(items, wording.Changed("python.manifest", from.Manifest, to.Manifest, plan.Same)...)
	items = append(items, wording.Changed("python.requires_python", from.RequiresPython, to.RequiresPython, plan.Same)...)
	items = append(items, wording.Changed("python.registry", registriesText(from.Registries), registriesText(to.Registries), plan.Same)...)
	items = append(items, wording.Changed("python.login", loginsText(from.Logins), loginsText(to.Logins), plan.Same)...)
	items = append(items, wording.Changed("python.cooldown", cooldownText(from.Cooldown), cooldownText(to.Cooldown), plan.Same)...)
	items = append(items, wording.Changed("python.lock", from.LockPath, to.LockPath, plan.Same)...)
	before, after := asked(from.Requirements), asked(to.Requirements)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(keys(from.Requirements), keys(to.Requirements)...)))) {
		items = append(items, wording.Changed("package."+name, before[name], after[name], plan.Same)...)
	}
	return items
}

func registriesText(rs []Registry) string {
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s (%s)", r.URL, strings.Join(r.Packages, ", ")))
	}
	return strings.Join(out, "; ")
}

func loginsText(ls []login.Place) string {
	var out []string
	for _, l := range ls {
		out = append(out, l.Host+" by "+l.Password)
	}
	return strings.Join(out, "; ")
}

func cooldownText(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return block.FormatDuration(time.Duration(seconds) * time.Second)
}

// key is the normalised name of a requirement, or all of one that can't be read.
func (r Requirement) key() string {
	q, err := pep508.Parse(r.Text)
	if err != nil {
		return r.Text
	}
	return q.Key()
}

func keys(rs []Requirement) []string {
	out := make([]string, 0, len(rs))
	for _, r := range rs {
		out = append(out, r.key())
	}
	return out
}

func asked(rs []Requirement) map[string]string {
	out := map[string]string{}
	for _, r := range rs {
		k, text := r.key(), r.Text
		switch {
		case r.Constraint:
			text += " (constraint)"
		case r.Override:
			text += " (override)"
		}
		if out[k] == "" {
			out[k] = text
		} else {
			out[k] += " and " + text
		}
	}
	return out
}

// maxNamed is how many packages a summary names.
const maxNamed = 4

// summary is "python 3.11.2 (host), flask 3.1.2, requests 2.32.5, 11 they need".
func (s Set) summary() string {
	parts := []string{"python"}
	if t := s.Python.text(); t != "" {
		parts[0] += " " + t
	}
	var direct []string
	for _, p := range s.Packages {
		if p.Direct {
			direct = append(direct, p.Name+" "+p.Version)
		}
	}
	parts = append(parts, direct[:min(len(direct), maxNamed)]...)
	if more := len(direct) - maxNamed; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	if deps := len(s.Packages) - len(direct); deps > 0 {
		parts = append(parts, fmt.Sprintf("%d they need", deps))
	}
	if len(s.Packages) == 0 && len(s.Wishes.Requirements) > 0 {
		n := len(slices.DeleteFunc(slices.Clone(s.Wishes.Requirements), func(r Requirement) bool { return !r.Asks() }))
		parts = append(parts, fmt.Sprintf("%d packages to be chosen", n))
	}
	return strings.Join(parts, ", ")
}
