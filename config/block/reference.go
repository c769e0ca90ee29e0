package block

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reference is the page of these words for people, in Markdown: below the
// headings of the given level each attribute with what it may be, what holds
// without it, and where its meaning comes from. It is generated from the same
// declarations that blast.hcl is read by, so it can't say otherwise.
func Reference(level int, attrs []Attr, blocks []Block) string {
	var b strings.Builder
	reference(&b, level, nil, attrs, blocks)
	return b.String()
}

func reference(b *strings.Builder, level int, path []string, attrs []Attr, blocks []Block) {
	for _, a := range attrs {
		a.reference(b)
	}
	if len(attrs) > 0 {
		b.WriteByte('\n')
	}
	for _, k := range blocks {
		names := slices.Concat(path, []string{k.Name})
		heading := strings.Join(names, " › ")
		if k.Label != "" {
			heading += fmt.Sprintf(" \"%s\"", strings.ToUpper(k.Label))
		}
		fmt.Fprintf(b, "%s %s\n\n%s\n\n", strings.Repeat("#", level), heading, k.Doc)
		if len(k.NotYet) > 0 {
			fmt.Fprintf(b, "Not supported yet: %s.\n\n", quoted(k.NotYet))
		}
		reference(b, level+1, names, k.Attrs, k.Blocks)
	}
}

func (a Attr) reference(b *strings.Builder) {
	fmt.Fprintf(b, "- **`%s`**, %s", a.Name, kindNames[a.Kind])
	if len(a.OneOf) > 0 {
		fmt.Fprintf(b, ": %s", quoted(a.OneOf))
	}
	if a.Min != 0 || a.Max != 0 {
		fmt.Fprintf(b, ", %s", a.rangeText())
	}
	b.WriteString(". ")
	b.WriteString(a.Doc)
	switch {
	case a.Required:
		b.WriteString(" Required.")
	case a.Default != "":
		fmt.Fprintf(b, " Default: %s.", a.Default)
	}
	if len(a.NotYet) > 0 {
		fmt.Fprintf(b, " Not supported yet: %s.", quoted(a.NotYet))
	}
	if a.Example != "" {
		fmt.Fprintf(b, " Example: `%s = %s`.", a.Name, a.Example)
	}
	if a.Source != "" {
		fmt.Fprintf(b, " Source: %s.", a.Source)
	}
	b.WriteByte('\n')
}

func (a Attr) rangeText() string {
	show := func(n int64) string {
		switch a.Kind {
		case Size:
			return FormatSize(n)
		case Duration:
			return FormatDuration(time.Duration(n))
		case BitRate:
			return FormatBitRate(n)
		}
		return fmt.Sprint(n)
	}
	if a.Max == 0 {
		return "at least " + show(a.Min)
	}
	return fmt.Sprintf("from %s to %s", show(a.Min), show(a.Max))
}

func quoted(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }
