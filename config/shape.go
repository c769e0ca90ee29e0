package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"blast.example/blast/config/block"
	"blast.example/blast/config/variable"
)

// defaultEnvironment is the one that a flat file makes.
const defaultEnvironment = "default"

// FileBlocks are the blocks that stand at the top of a file and belong to no
// environment.
var FileBlocks = []block.Block{
	{
		Name: "blast", Doc: "Settings of the file itself.",
		Attrs: []block.Attr{
			{Name: "required_version", Kind: block.String, Example: `">= 0.1, < 1"`, Default: "any", Doc: "Versions of Blast that may read the file, with Terraform's operators: =, !=, >, >=, <, <=, ~>."},
			{Name: "generations", Kind: block.Int, Example: "10", Default: "10", Doc: "How many generations are kept for blast rollback, from 1 to 1000; the current one is one of them. What falls out is deleted."},
		},
	},
	variable.Spec,
	{Name: "locals", Many: true, Doc: "Names for values: each argument NAME = VALUE is local.NAME elsewhere."},
	{
		Name: "output", Label: "name", Doc: "A value to show after an apply.",
		Attrs: []block.Attr{
			{Name: "value", Kind: block.Expression, Required: true, Example: "var.name", Doc: "The value."},
			{Name: "description", Kind: block.String, Doc: "What it is."},
			{Name: "sensitive", Kind: block.Bool, Default: "false", Doc: "The value is not shown."},
		},
	},
	{Name: "environment", Label: "name", Doc: "A sandbox of the project, with the blocks of an environment in it. A file without such a block has them at its top and describes one environment, default."},
}

// notYet are words of an environment that this version refuses.
var notYet = []string{"module", "for_each", "dynamic", "policy"}

// parts is a file taken apart.
type parts struct {
	blocks map[string][]*hclsyntax.Block // of FileBlocks, by name
	flat   *hclsyntax.Body               // what stands at the top and belongs into an environment
}

// vocabulary is what may stand in an environment, as far as names go; with file
// also what may stand beside environments.
func (l *loader) vocabulary(file bool) block.Block {
	spec := block.Block{NotYet: notYet}
	for _, w := range l.opts.Words {
		s := w.Schema()
		for _, a := range s.Attributes {
			spec.Attrs = append(spec.Attrs, block.Attr{Name: a.Name})
		}
		for _, b := range s.Blocks {
			spec.Blocks = append(spec.Blocks, block.Block{Name: b.Type})
		}
	}
	if file {
		spec.Blocks = append(spec.Blocks, FileBlocks...)
	}
	return spec
}

// sort takes the file apart and reports names that mean nothing.
func (l *loader) sort(body *hclsyntax.Body) parts {
	p := parts{blocks: map[string][]*hclsyntax.Block{}, flat: &hclsyntax.Body{
		Attributes: hclsyntax.Attributes{}, SrcRange: body.SrcRange, EndRange: body.EndRange,
	}}
	spec := l.vocabulary(true)
	l.unknown("", spec, body)
	maps.Copy(p.flat.Attributes, body.Attributes)
	for _, b := range body.Blocks {
		if slices.ContainsFunc(FileBlocks, func(f block.Block) bool { return f.Name == b.Type }) {
			p.blocks[b.Type] = append(p.blocks[b.Type], b)
		} else {
			p.flat.Blocks = append(p.flat.Blocks, b)
		}
	}
	return p
}

// unknown reports the attributes and blocks of an environment, or a flat file,
// that no word owns.
func (l *loader) unknown(path string, spec block.Block, body *hclsyntax.Body) {
	for name, a := range body.Attributes {
		if !slices.ContainsFunc(spec.Attrs, func(s block.Attr) bool { return s.Name == name }) {
			l.report(block.UnknownArgument(a.NameRange, path, name, spec))
		}
	}
	for _, b := range body.Blocks {
		if !slices.ContainsFunc(spec.Blocks, func(s block.Block) bool { return s.Name == b.Type }) {
			l.report(block.UnknownBlock(b.TypeRange, path, b.Type, spec))
		}
	}
}

// section is the body of one environment.
type section struct {
	name string
	at   hcl.Range
	body *hclsyntax.Body
}

// environments decides on the shape: flat, or environment blocks.
func (l *loader) environments(p parts) []section {
	named := p.blocks["environment"]
	if len(named) == 0 {
		start := hcl.Range{Filename: FileName, Start: hcl.InitialPos, End: hcl.InitialPos}
		return []section{{defaultEnvironment, start, p.flat}}
	}
	if loose := l.loose(p.flat); len(loose) > 0 {
		l.report(block.Errorf(loose[0].at, "Two shapes in one file",
			"%s at the top of the file describes the environment %q, and line %d begins an environment block; a file has one shape. Move %s into a block: environment %q { ... }.",
			loose[0].name, defaultEnvironment, named[0].TypeRange.Start.Line, everything(loose), defaultEnvironment))
	}
	var out []section
	first := map[string]hcl.Range{}
	for _, b := range named {
		name, ok := l.environmentName(b)
		if !ok {
			continue
		}
		if was, twice := first[name]; twice {
			l.report(block.Duplicate(b.LabelRanges[0], was, fmt.Sprintf("environment %q", name), "Merge the two, or give one of them another name."))
			continue
		}
		first[name] = b.DefRange()
		l.unknown("environment."+name, l.vocabulary(false), b.Body)
		out = append(out, section{name, b.DefRange(), b.Body})
	}
	return out
}

// word is one thing that stands in the wrong shape.
type word struct {
	name string
	at   hcl.Range
}

// loose are the words of an environment at the top of the file, in order.
func (l *loader) loose(flat *hclsyntax.Body) []word {
	spec := l.vocabulary(false)
	var out []word
	for name, a := range flat.Attributes {
		if slices.ContainsFunc(spec.Attrs, func(s block.Attr) bool { return s.Name == name }) {
			out = append(out, word{name, a.NameRange})
		}
	}
	for _, b := range flat.Blocks {
		if slices.ContainsFunc(spec.Blocks, func(s block.Block) bool { return s.Name == b.Type }) {
			out = append(out, word{b.Type, b.DefRange()})
		}
	}
	slices.SortFunc(out, func(a, b word) int { return a.at.Start.Byte - b.at.Start.Byte })
	return out
}

func everything(ws []word) string {
	names := make([]string, 0, len(ws))
	for _, w := range ws {
		names = append(names, fmt.Sprintf("%s (line %d)", w.name, w.at.Start.Line))
	}
	if len(names) > 6 {
		names = append(names[:6], fmt.Sprintf("%d more", len(ws)-6))
	}
	return strings.Join(names, ", ")
}

// maxName is the longest name of an environment: it becomes a host name's label.
const maxName = 63

func (l *loader) environmentName(b *hclsyntax.Block) (string, bool) {
	if len(b.Labels) != 1 {
		l.report(block.Errorf(b.DefRange(), "Missing label", "An environment has one label, its name. Write: environment \"dev\" { ... }."))
		return "", false
	}
	name := b.Labels[0]
	fine := name != "" && len(name) <= maxName && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0 && name[0] != '-' && name[0] != '_'
	if !fine {
		l.report(block.Errorf(b.LabelRanges[0], "Invalid name", "An environment can't be called %q: its state is kept in a folder of that name. Use up to %d letters, digits, - and _, and begin with a letter or digit.", name, maxName))
	}
	return name, fine
}

// environment decodes one environment by the words of all kinds.
func (l *loader) environment(s section) {
	env := Environment{Name: s.name, Range: s.at}
	for _, w := range l.opts.Words {
		objs, diags := w.Decode(Scope{
			Content: picked(s.body, w.Schema()), Eval: l.eval, Env: s.name, Project: l.file.Project, Range: s.at,
			UID: l.opts.UID, GID: l.opts.GID, Files: l.file.Sources, Makers: l.made.of,
		})
		l.report(diags...)
		env.Objects = append(env.Objects, objs...)
	}
	l.file.Environments = append(l.file.Environments, env)
}

// picked is what the schema names, with whatever labels: the kind's own reading
// says better than HCL's what is wrong with them.
func picked(body *hclsyntax.Body, schema *hcl.BodySchema) *hcl.BodyContent {
	c := &hcl.BodyContent{Attributes: hcl.Attributes{}, MissingItemRange: body.MissingItemRange()}
	for _, a := range schema.Attributes {
		if attr, ok := body.Attributes[a.Name]; ok {
			c.Attributes[a.Name] = attr.AsHCLAttribute()
		}
	}
	for _, b := range body.Blocks {
		if slices.ContainsFunc(schema.Blocks, func(h hcl.BlockHeaderSchema) bool { return h.Type == b.Type }) {
			c.Blocks = append(c.Blocks, b.AsHCLBlock())
		}
	}
	return c
}
