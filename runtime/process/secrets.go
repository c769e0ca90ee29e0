package process

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/process/secret"
)

var secretSpec = block.Block{
	Name: "secret", Label: "name",
	Doc: "An environment variable of every command whose value is never in a plan, state, log or the arguments of a process: only where it comes from is, and a hash that tells when it changes and is worth nothing without a key in the state folder. Each blast run looks for the value anew.",
	Attrs: []block.Attr{
		{Name: "from", Kind: block.String, Required: true, Example: `"env:DATABASE_URL"`, Source: "environ(7)", Doc: "\"env:NAME\", a variable of the environment that blast is called in (sudo passes on only what --preserve-env names), or \"file:PATH\", a file that the person may read: from / or the project's folder, without symbolic links on the way, up to 64 KiB, without NUL bytes; one newline at its end is cut off. An empty value is none. blast run --set-env NAME wins over it."},
	},
}

// secrets reads the secret blocks and notes in src where they are.
func (r *reading) secrets(blocks []*block.Values, src block.Origins) []secret.Reference {
	var out []secret.Reference
	for _, b := range blocks {
		from := b.String("from", "")
		if !secret.ValidName(b.Label) {
			r.report(block.Errorf(b.LabelRange, "Invalid name", "%q can't name an environment variable, which is what commands get of a secret. Use letters, digits and _, and don't begin with a digit.", b.Label))
			continue
		}
		if was, twice := src["env."+b.Label]; twice {
			r.report(block.Errorf(b.LabelRange, "Duplicate definition", "%s is in env, too, at %s: commands would get one of the two. Remove it there, where its value is stored.", b.Label, was.Place))
			continue
		}
		if !b.Has("from") {
			continue // reported
		}
		if err := secret.CheckSource(from); err != nil {
			r.report(block.Errorf(b.At("from"), "Unknown source of a secret", "%v.", err))
			continue
		}
		b.Sources(src, "secret."+b.Label)
		out = append(out, secret.Reference{Name: b.Label, From: from})
	}
	slices.SortFunc(out, func(a, b secret.Reference) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// conceal keeps lines of secret blocks from being shown with what is wrong in them: one
// mistake is to write the value there.
func conceal(diags hcl.Diagnostics, blocks hcl.Blocks) {
	for _, d := range diags {
		for _, b := range blocks {
			body, ok := b.Body.(*hclsyntax.Body)
			if !ok || d.Subject == nil || !body.SrcRange.Overlaps(*d.Subject) {
				continue
			}
			if d.Extra = (block.Hidden{}); d.Summary == "Unknown name" { // a text without quotes
				d.Detail = "from is a text, in quotes. Write \"env:NAME\" or \"file:PATH\"."
			}
		}
	}
}

// secretItems tells of the secrets that come, go, or have another value. One more is
// one more thing that code in the sandbox knows.
func secretItems(from, to []secret.Reference) []plan.Item {
	was, is := byName(from), byName(to)
	names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(names)
	var items []plan.Item
	for _, name := range slices.Compact(names) {
		a, before := was[name]
		b, after := is[name]
		it := plan.Item{Name: "secret." + name, Action: wording.Action(before, after), Before: a.From, After: b.From}
		switch {
		case !before:
			it.Access = plan.Widen
		case !after:
			it.Access = plan.Narrow
		case a.From != b.From:
			it.Access = plan.Both
		case a.Hash == b.Hash:
			continue
		case b.Hash == "":
			it.Before, it.After, it.Cause = "", "value can't be compared with the last one: the key is gone", plan.BySecret
		default:
			it.Before, it.After, it.Cause = "", "value changed", plan.BySecret
		}
		items = append(items, it)
	}
	return items
}

func byName(refs []secret.Reference) map[string]secret.Reference {
	out := make(map[string]secret.Reference, len(refs))
	for _, r := range refs {
		out[r.Name] = r
	}
	return out
}
