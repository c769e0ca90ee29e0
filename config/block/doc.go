// Package block reads a block of blast.hcl strictly, by a declaration of what
// may stand in it. All kinds use it, so that the same mistake gets the same
// diagnostic everywhere: an unknown word, a duplicate, a value of the wrong
// type, a number without its unit, a word of the language that this version
// does not have.
//
//	var spec = block.Block{
//		Name: "pids",
//		Attrs: []block.Attr{{Name: "max", Kind: block.Int, Example: "128", Min: 1}},
//	}
//
// A Block is data. The loader decodes by it, and a reference can be printed
// from it. What can't be declared, such as "exactly one of two", the kind checks
// itself, with Errorf.
//
// Decoding reports everything that is wrong and goes on: a value that was
// reported reads as not set.
package block
