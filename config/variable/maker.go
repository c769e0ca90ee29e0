package variable

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// Maker says what a variable's value is, as far as it may be told, and what gave it.
// There is none of a variable that isn't declared.
func (vs Values) Maker(name string) (plan.Maker, bool) {
	g, declared := vs[name]
	return plan.Maker{Name: "var." + name, Value: told(g.value), From: g.from, Place: wording.Foreign(g.place, maxPlace)}, declared
}

// Bounds of what is told of a value, in characters.
const (
	maxTold  = 40
	maxPlace = 80
)

// told is a value as blast.hcl would write it, without quotes where it is one word;
// "" is one that is too long, or not to be shown.
func told(v cty.Value) string {
	switch {
	case v == cty.NilVal || !v.IsWhollyKnown():
		return ""
	case v.ContainsMarked():
		return plan.Sensitive
	case !v.IsNull() && v.Type() == cty.String && word.MatchString(v.AsString()):
		return v.AsString()
	}
	text := string(hclwrite.TokensForValue(v).Bytes())
	if utf8.RuneCountInString(text) > maxTold || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

var word = regexp.MustCompile(`^[A-Za-z0-9._:/@+~^<>=!*-]{1,40}$`)
