package block

import "github.com/hashicorp/hcl/v2"

// Kind is what a value must be. Strings are strings: nothing is converted.
type Kind int

// The kinds of values.
const (
	String     Kind = iota // "text"
	Strings                // ["text", ...]
	Number                 // 0.5
	Int                    // 128
	Ints                   // [80, 443]
	Bool                   // true
	StringMap              // { NAME = "text" }
	Size                   // "512MiB"; bytes
	Duration               // "50ms"
	Limit                  // 1024, "8MiB" or "unlimited", as of an rlimit
	BitRate                // "10mbit"; bits per second
	Frequency              // "20/s"
	Expression             // anything; not evaluated
)

// Words for what a kind must be, with an article.
var kindNames = map[Kind]string{
	String: "a string", Strings: "a list of strings", Number: "a number", Int: "a whole number", Ints: "a list of whole numbers",
	Bool: "true or false", StringMap: "a map of strings", Size: "a size with its unit", Duration: "a time with its unit",
	Limit: `a whole number, a size or "unlimited"`, BitRate: "a rate with its unit", Frequency: "a number per time",
	Expression: "an expression",
}

// Attr declares an attribute: name = value.
type Attr struct {
	Name     string
	Kind     Kind
	Doc      string // one sentence for the reference
	Required bool
	Example  string // a right value as written: `"512MiB"`
	Default  string // for the reference: what holds without it, as written
	Source   string // for the reference: where its meaning comes from, such as a man page

	Private bool // the value is shown in no plan, nor are those that it is made of

	OneOf  []string // the only texts that a String, or each of Strings, may be
	NotYet []string // texts of the language that this version refuses

	Argv bool // Strings are the words of a command, which is not for a shell

	// Min and Max bound an Int, each of Ints, a Size (bytes) or a Duration
	// (nanoseconds); both zero is no bound.
	Min, Max int64
}

// Block declares a block: name "label" { ... }.
type Block struct {
	Name   string
	Label  string // what the label says: "name", "path"; "" if there is none
	Many   bool   // more than one may stand there; with a label this is always so
	Doc    string // one sentence for the reference
	Attrs  []Attr
	Blocks []Block
	NotYet []string // words of the language that this version refuses inside
}

// Schema returns the declared attributes and blocks as config.Words wants them.
func Schema(attrs []Attr, blocks []Block) *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, b := range blocks {
		h := hcl.BlockHeaderSchema{Type: b.Name}
		if b.Label != "" {
			h.LabelNames = []string{b.Label}
		}
		s.Blocks = append(s.Blocks, h)
	}
	return s
}

// attr is the declaration of an attribute, or nil.
func (b *Block) attr(name string) *Attr {
	for i := range b.Attrs {
		if b.Attrs[i].Name == name {
			return &b.Attrs[i]
		}
	}
	return nil
}

// block is the declaration of a block inside, or nil.
func (b *Block) block(name string) *Block {
	for i := range b.Blocks {
		if b.Blocks[i].Name == name {
			return &b.Blocks[i]
		}
	}
	return nil
}

// words are all names that may stand in the block.
func (b Block) words() (attrs, blocks []string) {
	for _, a := range b.Attrs {
		attrs = append(attrs, a.Name)
	}
	for _, c := range b.Blocks {
		blocks = append(blocks, c.Name)
	}
	return attrs, blocks
}
