package block

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// A Writer writes blocks with arguments as a person could have. Texts are written
// as they are: nothing in one is taken for a reference or a function.
type Writer struct{ body *hclwrite.Body }

// NewWriter returns a writer for the top of a file, and what returns the file.
func NewWriter() (w *Writer, text func() []byte) {
	f := hclwrite.NewEmptyFile()
	return &Writer{f.Body()}, func() []byte { return hclwrite.Format(f.Bytes()) }
}

// Block begins a block.
func (w *Writer) Block(name string, labels ...string) *Writer {
	return &Writer{w.body.AppendNewBlock(name, labels).Body()}
}

// Text writes an argument, unless the text is empty.
func (w *Writer) Text(name, text string) {
	if text != "" {
		w.body.SetAttributeValue(name, cty.StringVal(text))
	}
}

// Texts writes a list, unless it is empty.
func (w *Writer) Texts(name string, texts []string) {
	var vs []cty.Value
	for _, t := range texts {
		vs = append(vs, cty.StringVal(t))
	}
	if len(vs) > 0 {
		w.body.SetAttributeValue(name, cty.ListVal(vs))
	}
}

// Ints writes a list of whole numbers, unless it is empty.
func (w *Writer) Ints(name string, ns []int64) {
	var vs []cty.Value
	for _, n := range ns {
		vs = append(vs, cty.NumberIntVal(n))
	}
	if len(vs) > 0 {
		w.body.SetAttributeValue(name, cty.ListVal(vs))
	}
}

// Int writes a whole number.
func (w *Writer) Int(name string, n int64) { w.body.SetAttributeValue(name, cty.NumberIntVal(n)) }

// Bool writes a Bool.
func (w *Writer) Bool(name string, b bool) { w.body.SetAttributeValue(name, cty.BoolVal(b)) }

// Size writes a number of bytes.
func (w *Writer) Size(name string, n int64) { w.Text(name, FormatSize(n)) }

// Duration writes a time, to the microsecond.
func (w *Writer) Duration(name string, d time.Duration) { w.Text(name, FormatDuration(d)) }

// Bound writes a limit, as of an rlimit. unlimited is the number that means none.
func (w *Writer) Bound(name string, n, unlimited uint64) {
	if n == unlimited {
		w.Text(name, "unlimited")
		return
	}
	w.body.SetAttributeValue(name, cty.MustParseNumberVal(strconv.FormatUint(n, 10)))
}

// Map writes a map of texts, unless it is empty.
func (w *Writer) Map(name string, m map[string]string) {
	vs := map[string]cty.Value{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		vs[key] = cty.StringVal(m[key])
	}
	if len(vs) > 0 {
		w.body.SetAttributeValue(name, cty.ObjectVal(vs))
	}
}
