package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Module is who writes the lines of a stream.
const Module = "blast.ui"

// A Diagnostic is one thing that is wrong, in Terraform's names.
type Diagnostic struct {
	Severity string `json:"severity"` // "error" or "warning"
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address,omitempty"` // the object that it is about
	Range    *Range `json:"range,omitempty"`
}

// A Range is a part of a file.
type Range struct {
	Filename string `json:"filename"`
	Start    Pos    `json:"start"`
	End      Pos    `json:"end"`
}

// A Pos is a point in a file.
type Pos struct {
	Line   int `json:"line"`   // from 1
	Column int `json:"column"` // from 1, in characters
	Byte   int `json:"byte"`   // from 0
}

// An Output is the value of an output block. One that is sensitive has no Value.
type Output struct {
	Sensitive bool            `json:"sensitive"`
	Type      json.RawMessage `json:"type,omitempty"` // as cty writes it: "string", ["list","string"]
	Value     json.RawMessage `json:"value,omitempty"`
}

// Encode writes v as JSON, indented if asked, that says the same and draws nothing
// where it is shown: what can't be seen is escaped, and so is what the runner of
// GitHub's actions takes for a command wherever it stands in a line.
func Encode(v any, indent string) ([]byte, error) {
	b, err := json.Marshal(v)
	if err == nil && indent != "" {
		var out bytes.Buffer
		err = json.Indent(&out, b, "", indent)
		b = out.Bytes()
	}
	if err != nil {
		return nil, err
	}
	return seen(b), nil
}

// command begins one of the runner's older commands. It stands in JSON in strings
// only, where the escape means the same.
const command = "##["

func seen(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '#' && bytes.HasPrefix(b, []byte(command)):
			out = append(out, `\u0023`...)
		case r == '\n' || r < utf8.RuneSelf && r != 0x7f || unicode.IsPrint(r):
			out = append(out, b[:n]...)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, u)
			}
		}
		b = b[n:]
	}
	return out
}
