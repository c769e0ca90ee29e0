package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/cachedir"
	"blast.example/blast/runtime/packages/pep508"
)

// cacheRemoved is what --json prints of prune, clean and verify.
type cacheRemoved struct {
	Wheels  []cache.Kept   `json:"wheels"`
	Answers cachedir.Files `json:"index"`
	Removed bool           `json:"removed"` // false: --dry-run
}

type cachePruneCmd struct {
	DryRun bool `help:"Say what would go, and remove nothing."`
	JSON   bool `name:"json" help:"Print as JSON."`
}

// oldAnswer is the age at which an index's answer goes: it is asked for again, and what
// is still as it was costs the index nothing.
const oldAnswer = 30 * 24 * time.Hour

// Run removes what nobody has any use of.
func (cmd *cachePruneCmd) Run(ctx context.Context, u *ui) error {
	c, all, err := wheels()
	if err != nil {
		return err
	}
	r := cacheRemoved{Removed: !cmd.DryRun}
	r.Wheels = slices.DeleteFunc(all, func(k cache.Kept) bool { return k.Used && k.Damaged == "" })
	before := time.Now().Add(-oldAnswer)
	if cmd.DryRun {
		r.Answers, err = cachedir.Count(cachedAnswers, before)
	} else if err = c.Remove(ctx, r.Wheels); err == nil {
		r.Answers, err = cachedir.Drop(cachedAnswers, before)
	}
	if err != nil {
		return err
	}
	return r.tell(u, cmd.JSON)
}

type cacheCleanCmd struct {
	Packages []string `arg:"" optional:"" name:"package" help:"Only the wheels of these."`
	JSON     bool     `name:"json" help:"Print as JSON."`
}

// Run removes all, or the wheels of some packages. It doesn't ask: everything is fetched
// again by whoever needs it.
func (cmd *cacheCleanCmd) Run(ctx context.Context, u *ui) error {
	c, all, err := wheels()
	if err != nil {
		return err
	}
	r := cacheRemoved{Removed: true}
	r.Wheels = slices.DeleteFunc(all, func(k cache.Kept) bool {
		return len(cmd.Packages) > 0 && !slices.ContainsFunc(cmd.Packages, func(p string) bool { return k.Name != "" && pep508.NormalizeName(p) == pep508.NormalizeName(k.Name) })
	})
	if err := c.Remove(ctx, r.Wheels); err != nil {
		return err
	}
	if len(cmd.Packages) == 0 {
		if r.Answers, err = cachedir.Drop(cachedAnswers, time.Time{}); err != nil {
			return err
		}
		if _, err := cachedir.Drop(cachedInterpreters, time.Time{}); err != nil {
			return err
		}
	}
	return r.tell(u, cmd.JSON)
}

func (r cacheRemoved) tell(u *ui, asJSON bool) error {
	if asJSON {
		r.Wheels = append([]cache.Kept{}, r.Wheels...)
		return u.answer(r)
	}
	var b strings.Builder
	verb := "Removed"
	if !r.Removed {
		verb = "Would remove"
		for _, k := range r.Wheels {
			fmt.Fprintf(&b, "  %s\n", wheelText(k))
		}
	}
	f := sumOf(r.Wheels)
	fmt.Fprintf(&b, "%s %s and %s: %s.\n", verb, plural(f.Count, "wheel"), plural(r.Answers.Count, "answer"), about(uint64(max(f.Bytes+r.Answers.Bytes, 0))))
	return printAll(u.out, []byte(b.String()))
}

// wheelText names an entry.
func wheelText(k cache.Kept) string {
	if k.Name == "" {
		return fmt.Sprintf("a wheel with SHA-256 %.16s..., for Python %s", cell(k.SHA256), cell(k.Python))
	}
	return fmt.Sprintf("%s %s, for Python %s", cell(k.Name), cell(k.Version), cell(k.Python))
}
