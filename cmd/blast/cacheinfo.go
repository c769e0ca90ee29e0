package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/cachedir"
)

type cacheInfoCmd struct {
	JSON bool `name:"json" help:"Print as JSON, each wheel by itself."`
}

// cacheInfo is what --json prints.
type cacheInfo struct {
	Dir          string         `json:"dir"`
	Wheels       []cache.Kept   `json:"wheels"`
	Answers      cachedir.Files `json:"index"`
	Interpreters cachedir.Files `json:"interpreters"`
}

// Run looks, and changes nothing.
func (cmd *cacheInfoCmd) Run(u *ui) error {
	_, all, err := wheels()
	if err != nil {
		return err
	}
	info := cacheInfo{Dir: cachedir.Root(), Wheels: append([]cache.Kept{}, all...)}
	var err2 error
	info.Answers, err = cachedir.Count(cachedAnswers, time.Time{})
	info.Interpreters, err2 = cachedir.Count(cachedInterpreters, time.Time{})
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(info)
	}
	return printAll(u.out, []byte(info.text()))
}

func (i cacheInfo) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", visible(i.Dir))
	used := sumOf(slices.DeleteFunc(slices.Clone(i.Wheels), func(k cache.Kept) bool { return !k.Used }))
	damaged := len(slices.DeleteFunc(slices.Clone(i.Wheels), func(k cache.Kept) bool { return k.Damaged == "" }))
	row := func(name string, f cachedir.Files) {
		fmt.Fprintf(&b, "  %-32s %8d %12s\n", name, f.Count, about(uint64(max(f.Bytes, 0))))
	}
	row("wheels, unpacked", sumOf(i.Wheels))
	row("  in use by environments", used)
	row("answers of indexes", i.Answers)
	row("interpreters", i.Interpreters)
	if damaged > 0 {
		fmt.Fprintf(&b, "%s can't be read: blast cache verify removes them.\n", plural(damaged, "wheel"))
	}
	return b.String()
}
