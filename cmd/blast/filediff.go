package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/filesystem/overlay"
)

// files shows what commands have written over the project.
func (cmd *diffCmd) files(ctx context.Context, u *ui, g *Globals) error {
	v, err := u.layerOf(ctx, g, caller("blast diff"), cmd.Of, cmd.Patch)
	if err != nil {
		return err
	}
	if err := cmd.print(u, v); err != nil {
		return err
	}
	if cmd.ExitCode && len(v.changes) > 0 {
		return statusError{exitChanges}
	}
	return nil
}

func (cmd *diffCmd) print(u *ui, v *layerView) error {
	switch {
	case cmd.JSON:
		for _, c := range v.changes {
			b, err := view.Encode(c, "")
			if err != nil {
				return err
			}
			if err := printAll(u.out, append(bytes.TrimSpace(b), '\n')); err != nil {
				return err
			}
		}
		return nil
	case len(v.changes) == 0 && !v.over:
		return printAll(u.out, []byte("No difference: the workspace is no overlay, and nothing is left in the layer. To compare generations: blast diff A [B]\n"))
	case len(v.changes) == 0:
		return printAll(u.out, []byte("No difference.\n"))
	case cmd.Patch:
		for _, c := range v.changes {
			if err := printAll(u.out, []byte(patch(c))); err != nil {
				return err
			}
		}
		return nil
	}
	return printAll(u.out, []byte(list(v.changes, maxListed)+count(v.changes)+". blast accept takes them over, blast discard drops them.\n"))
}

// patch is one change as a unified difference. What is in it a sandbox has chosen.
func patch(c overlay.Change) string {
	head := strings.TrimSpace(changeRow(c, 0)) + "\n"
	switch {
	case c.Type != overlay.File || c.Kind == overlay.Deleted:
		return head
	case c.New == nil && c.Size > 0 || c.Before == overlay.File && c.Old == nil && c.Was > 0:
		return head + "(large: not shown)\n"
	case !text(c.Old) || !text(c.New):
		return head + "(binary)\n"
	}
	d := string(diff.Diff("a/"+quoted(c.Path), c.Old, "b/"+quoted(c.Path), c.New))
	if _, rest, ok := strings.Cut(d, "\n"); ok { // its first line says what ours does
		d = rest
	}
	return head + escaped(d)
}

func text(b []byte) bool { return utf8.Valid(b) && !bytes.ContainsRune(b, 0) }

// escaped is text in which nothing works on the terminal, and a sign that can't be seen is
// written out: who reviews it must see that it is there.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if v := visible(string(r)); v == string(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u{%x}", r)
		}
	}
	return b.String()
}
