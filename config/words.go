// Package config turns blast.hcl into the objects of each environment. It reads
// text, evaluates variables and locals, and hands each block to the kind that
// owns its word. Every mistake of a file is reported in one run, as
// hcl.Diagnostics: a constant Summary, and a Detail that says what, why and how
// to fix it.
package config

import (
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is what a kind of block tells the loader.
type Words interface {
	// Name is the kind's name and the first part of its objects' addresses.
	Name() string
	// Schema lists the attributes and blocks that the kind owns directly in the
	// body of an environment.
	Schema() *hcl.BodySchema
	// Decode turns what was written, possibly nothing, into objects. It touches
	// no host but may look at the project's files through s.
	Decode(s Scope) ([]plan.Object, hcl.Diagnostics)
}

// A Scope is what one environment says to one kind.
type Scope struct {
	Content *hcl.BodyContent // only the attributes and blocks of the kind's Schema
	Eval    *hcl.EvalContext // variables and locals
	Env     string           // name of the environment
	Project string           // absolute folder of blast.hcl
	Range   hcl.Range        // where the environment begins: the place of a default
	UID     int              // the person on whose behalf Blast acts
	GID     int
	Files   map[string]*hcl.File // sources by name, to quote what was written

	// Makers are the variables that the value of an expression is made of.
	Makers func(hcl.Expression) plan.Makers
}

// Read decodes what was written by the kind's declaration of it.
func (s Scope) Read(attrs []block.Attr, blocks []block.Block) (*block.Values, hcl.Diagnostics) {
	return block.Reader{Eval: s.Eval, Files: s.Files, Makers: s.Makers}.Content(s.Content, attrs, blocks)
}

// Origin is where the environment begins: that of all that nobody wrote.
func (s Scope) Origin() block.Origin { return block.Origin{Place: block.Place(s.Range)} }
